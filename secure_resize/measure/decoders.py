"""Other libraries' decoders as black boxes, called the way their users call them; for auditing, never for use.

Many JPEG decoders can scale while they decode, by 1/2, 1/4 or 1/8: they average before they cut off to [0, 255], where
a full decode cuts off first. Decoders of other formats that scale are resizes of what the file holds, and are probed as
such. Each decoder is one small function with a lazy import, registered under ``library:call``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..registry import Registry
from .scalers import load

__all__ = ["DECODERS", "Decoder", "get_decoder", "register_decoder"]

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]
SCALES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Decoder:
    """A library's decoder: ``decoder(data, size)`` gives a uint8 array (h, w, 3), or (h, w) for grey files.

    ``module`` is what has to be installed, ``package`` the distribution whose version counts. ``scales`` are the
    fractions 1/2, 1/4, 1/8 at which the decoder itself can scale, (1,) for one that decodes in full alone. ``then``
    names the scaler that takes what was decoded to the size asked for; ``""`` where there is none and the size has to
    be the file's, divided by one of ``scales``. ``rounds_up``: whether it is then rounded up, as libjpeg does.
    ``exact``: whether the inverse DCT is the accurate one. ``default``: whether the library's users get this unless
    they ask for something else. ``form``: the format that it reads, by Pillow's name, and ``saved`` what Pillow has to
    be told to write it without loss. ``note``: what its name does not say.
    """

    name: str
    call: Callable[[bytes, Size, int], Any]
    module: str
    package: str
    scales: tuple[int, ...] = (1,)
    then: str = ""
    rounds_up: bool = True
    exact: bool = True
    default: bool = False
    form: str = "JPEG"
    saved: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def factor(self, in_size: Size, size: Size) -> int:
        """The scale 1/factor at which a file of ``in_size`` = (height, width) is decoded for ``size``; ValueError where
        there is none.
        """
        if self.then:  # Pillow's rule: the smallest picture that is still twice as large as what was asked for
            room = max(min(in_size[0] // (2 * size[0]), in_size[1] // (2 * size[1])), 1)
            return max(scale for scale in SCALES if scale <= room)
        for scale in self.scales:
            if self.size(in_size, scale) == size:
                return scale
        sizes = ", ".join(f"{h}×{w}" for h, w in (self.size(in_size, scale) for scale in self.scales))
        raise ValueError(f"{self.name} gives {sizes} of a file of {in_size[0]}×{in_size[1]}, got the size {size}")

    def size(self, in_size: Size, scale: int) -> Size:
        """The (height, width) of a file of ``in_size`` decoded at 1/``scale``."""
        up = scale - 1 if self.rounds_up else 0
        return (in_size[0] + up) // scale, (in_size[1] + up) // scale

    def __call__(self, data: bytes, size: Size) -> Image:
        """Decode the file ``data`` to ``size`` = (height, width) through the real library."""
        out = np.asarray(self.call(data, size, self.factor(_size_of(data), size)))
        return np.ascontiguousarray(out[..., 0] if out.ndim == 3 and out.shape[2] == 1 else out, dtype=np.uint8)

    @property
    def library(self) -> str:
        """The part of the name before the call."""
        return self.name.partition(":")[0]

    @property
    def scaled(self) -> bool:
        """Whether it scales while it decodes."""
        return self.scales != (1,)

    @property
    def installed(self) -> bool:
        """Whether the library can be imported here."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The installed library's version."""
        module = load(self.module)
        return str(getattr(module, "__version__", "") or importlib.metadata.version(self.package))


DECODERS: Registry[Decoder] = Registry("decoder")


def register_decoder(
    name: str, module: str, **facts: Any
) -> Callable[[Callable[[bytes, Size, int], Any]], Callable[[bytes, Size, int], Any]]:
    """Register the decorated ``function(data, size, scale) -> array`` as the decoder ``name``; ``facts`` are further
    fields of :class:`Decoder`.
    """

    def register(function: Callable[[bytes, Size, int], Any]) -> Callable[[bytes, Size, int], Any]:
        DECODERS.add(Decoder(name, function, module, facts.pop("package", module), **facts))
        return function

    return register


def get_decoder(name: str, form: str = "") -> Decoder:
    """The decoder of that name, which reads the format ``form``, its library being installed; else ValueError or
    ImportError.
    """
    decoder = DECODERS[name]
    if form and decoder.form != form:
        raise ValueError(f"the decoder {name!r} reads {decoder.form} files, not {form}")
    if not decoder.installed:
        raise ImportError(f"the decoder {name!r} needs {decoder.package}: pip install {decoder.package}")
    return decoder


def _size_of(data: bytes) -> Size:
    with _opened(data) as picture:
        return int(picture.height), int(picture.width)


def _opened(data: bytes) -> Any:
    return load("PIL.Image").open(io.BytesIO(data))


# Pillow.


@register_decoder("pillow:open", "PIL", package="pillow", default=True)
def _pillow_open(data: bytes, size: Size, scale: int) -> Any:
    with _opened(data) as picture:
        return np.asarray(picture)


@register_decoder("pillow:draft", "PIL", package="pillow", scales=(2, 4, 8))
def _pillow_draft(data: bytes, size: Size, scale: int) -> Any:
    with _opened(data) as picture:
        picture.draft(picture.mode, (max(picture.width // scale, 1), max(picture.height // scale, 1)))
        return np.asarray(picture)


@register_decoder(
    "pillow:thumbnail",
    "PIL",
    package="pillow",
    scales=(2, 4, 8),
    then="pillow:bicubic",
    note="decodes to at least twice the size and then scales by an antialiased bicubic, with reducing_gap=2",
)
def _pillow_thumbnail(data: bytes, size: Size, scale: int) -> Any:
    with _opened(data) as picture:
        picture.thumbnail(size[::-1])
        return np.asarray(picture)


# OpenCV.


@register_decoder("opencv:imdecode", "cv2", package="opencv-python", default=True)
def _opencv_full(data: bytes, size: Size, scale: int) -> Any:
    cv2 = load("cv2")
    return _from_bgr(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


@register_decoder("opencv:imread_reduced", "cv2", package="opencv-python", scales=(2, 4, 8))
def _opencv_reduced(data: bytes, size: Size, scale: int) -> Any:
    cv2 = load("cv2")
    with _opened(data) as picture:
        kind = "GRAYSCALE" if picture.mode == "L" else "COLOR"
    flag = getattr(cv2, f"IMREAD_REDUCED_{kind}_{scale}")
    return _from_bgr(cv2.imdecode(np.frombuffer(data, np.uint8), flag))


def _from_bgr(image: Any) -> Any:
    if image is None:
        raise ValueError("OpenCV cannot decode this file")
    return image[..., ::-1] if image.ndim == 3 else image


# TensorFlow.

_FAST = "the inverse DCT is INTEGER_FAST unless INTEGER_ACCURATE is asked for"


@register_decoder("tensorflow:decode_jpeg", "tensorflow", exact=False, default=True, note=_FAST)
def _tensorflow(data: bytes, size: Size, scale: int) -> Any:
    return load("tensorflow").io.decode_jpeg(data).numpy()


@register_decoder("tensorflow:decode_jpeg+accurate", "tensorflow")
def _tensorflow_accurate(data: bytes, size: Size, scale: int) -> Any:
    return load("tensorflow").io.decode_jpeg(data, dct_method="INTEGER_ACCURATE").numpy()


@register_decoder("tensorflow:decode_jpeg+ratio", "tensorflow", scales=(2, 4, 8), exact=False, note=_FAST)
def _tensorflow_ratio(data: bytes, size: Size, scale: int) -> Any:
    return load("tensorflow").io.decode_jpeg(data, ratio=scale).numpy()


# torchvision.


@register_decoder("torchvision:decode_jpeg", "torchvision", default=True)
def _torchvision(data: bytes, size: Size, scale: int) -> Any:
    load("torchvision")
    torch = load("torch")
    tensor = load("torchvision.io").decode_jpeg(torch.from_numpy(np.frombuffer(data, np.uint8).copy()))
    return np.moveaxis(tensor.numpy(), 0, -1)


# libjpeg-turbo.


@register_decoder("simplejpeg:decode_jpeg", "simplejpeg", default=True)
def _simplejpeg(data: bytes, size: Size, scale: int) -> Any:
    return _simplejpeg_decode(data)


@register_decoder("simplejpeg:min_factor", "simplejpeg", scales=(2, 4, 8))
def _simplejpeg_scaled(data: bytes, size: Size, scale: int) -> Any:
    return _simplejpeg_decode(data, min_height=size[0], min_width=size[1], min_factor=scale)


def _simplejpeg_decode(data: bytes, **options: Any) -> Any:
    with _opened(data) as picture:
        space = "GRAY" if picture.mode == "L" else "RGB"
    return load("simplejpeg").decode_jpeg(data, colorspace=space, **options)


@register_decoder("turbojpeg:scaling_factor", "turbojpeg", package="PyTurboJPEG", scales=(2, 4, 8))
def _turbojpeg(data: bytes, size: Size, scale: int) -> Any:
    turbojpeg = load("turbojpeg")
    with _opened(data) as picture:
        pixels = turbojpeg.TJPF_GRAY if picture.mode == "L" else turbojpeg.TJPF_RGB
    return turbojpeg.TurboJPEG().decode(data, pixel_format=pixels, scaling_factor=(1, scale))


# libvips.


@register_decoder("pyvips:new_from_buffer", "pyvips", default=True)
def _pyvips(data: bytes, size: Size, scale: int) -> Any:
    return load("pyvips").Image.new_from_buffer(data, "").numpy()


@register_decoder(
    "pyvips:shrink", "pyvips", scales=(2, 4, 8), rounds_up=False, note="what its thumbnail's shrink-on-load calls"
)
def _pyvips_shrink(data: bytes, size: Size, scale: int) -> Any:
    return load("pyvips").Image.new_from_buffer(data, "", shrink=scale).numpy()


# imageio.


@register_decoder("imageio:imread", "imageio", default=True, note="Pillow's full decode")
def _imageio(data: bytes, size: Size, scale: int) -> Any:
    return load("imageio.v3").imread(data, extension=".jpg")


# Other formats.


@register_decoder(
    "pillow:jpeg2000+reduce",
    "PIL",
    package="pillow",
    scales=(2, 4, 8),
    form="JPEG2000",
    saved={"irreversible": False, "num_resolutions": 6},
    note="the low band of the 5/3 wavelet, which skips most of what it should average",
)
def _pillow_jpeg2000(data: bytes, size: Size, scale: int) -> Any:
    with _opened(data) as picture:
        picture.reduce = scale.bit_length() - 1
        return np.asarray(picture)


@register_decoder(
    "pyvips:webp+scale",
    "pyvips",
    scales=(2, 4, 8),
    form="WEBP",
    saved={"lossless": True, "exact": True},
    note="libwebp cuts off each sample, then takes the mean",
)
def _pyvips_webp(data: bytes, size: Size, scale: int) -> Any:
    return load("pyvips").Image.new_from_buffer(data, "", scale=1 / scale).numpy()
