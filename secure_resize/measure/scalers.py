"""Other libraries' resizes as black boxes, called the way their users call them; for auditing, never for use.

Each library is one small function with a lazy import, registered under ``library:algorithm[+option]``. :data:`SCALERS`
holds the scalers by name, :data:`DEVIATIONS` what is known of them that their name does not say.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.kernels import KERNELS
from ..registry import Registry
from ..scaling import resize_unchecked
from .sampling import CORNER, CUBIC, CUBIC_SHARP, LINEAR, NEAREST, Sampling

__all__ = ["DEVIATIONS", "SCALERS", "Deviation", "Scaler", "get_scaler", "load", "register_scaler"]

Image = npt.NDArray[Any]
Size = tuple[int, int]
ScalerCall = Callable[[Image, Size], Image]
Facts = Mapping[str, Any]  # by algorithm
NO_FACTS: Mapping[str, Facts] = {}


@dataclass(frozen=True)
class Deviation:
    """Something a library does that its name does not say, as data.

    ``scalers`` is a pattern of names (``fnmatch``), ``where`` the (in_size, out_size) that it concerns, ``levels`` how
    much further than by the 0.5 of one rounding its uint8 output may lie from its own linear model because of it.
    """

    code: str
    scalers: str
    reason: str
    levels: float = 0.0
    where: Callable[[Size, Size], bool] = lambda in_size, out_size: True


@dataclass(frozen=True)
class Scaler:
    """A library's resize: ``scaler(image, (height, width))`` on uint8 or float32 arrays (H, W) or (H, W, C).

    ``name`` is ``library:algorithm``, with ``+antialias`` where the library is asked for it; ``module`` is what has to
    be installed; ``dtype`` the one in which the library computes when it is given a uint8 image the way its users give
    it (``"float32"``: the image is converted before, and the result rounded after); ``default`` tells whether the
    library does this unless it is asked for something else. ``kernel``: the one of our own that this is to the byte;
    ``""`` where it is none.
    ``sampling``: the filter of fixed width that it is known to be, if any, from which follows what it reads.
    ``feasible_from``: the ratio on both axes from which on an undefended attack is expected to hide nearly everything;
    below it the pixels that the filter leaves unread are too few.
    """

    name: str
    call: ScalerCall
    module: str
    dtype: str = "uint8"
    default: bool = False
    kernel: str = ""
    sampling: Sampling | None = None
    feasible_from: float = math.inf

    def __call__(self, image: Image, size: Size) -> Image:
        """Scale ``image`` to ``size`` = (height, width) through the real library; the result has the image's dtype."""
        out = np.asarray(self.call(image, size))
        if out.dtype != image.dtype and image.dtype == np.uint8:
            out = np.clip(np.round(out), 0, 255)  # what the library leaves to its users; saturate_cast rounds nothing
        return np.ascontiguousarray(out, dtype=image.dtype).reshape(*size, *image.shape[2:])

    @property
    def library(self) -> str:
        """The part of the name before the algorithm."""
        return self.name.partition(":")[0]

    @property
    def algorithm(self) -> str:
        """The part of the name after the library."""
        return self.name.partition(":")[2]

    @property
    def ours(self) -> bool:
        """Whether this is a resize of this package."""
        return self.module == __package__.partition(".")[0]

    @property
    def installed(self) -> bool:
        """Whether the library can be imported here."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The installed library's version."""
        return str(load(self.module).__version__)

    def deviations(self, in_size: Size, out_size: Size) -> tuple[Deviation, ...]:
        """What is known of this scaler at these sizes that its name does not say."""
        return tuple(d for d in DEVIATIONS if fnmatchcase(self.name, d.scalers) and d.where(in_size, out_size))


SCALERS: Registry[Scaler] = Registry("scaler")


def register_scaler(name: str, module: str, **facts: Any) -> Callable[[ScalerCall], ScalerCall]:
    """Register the decorated function as the scaler ``name``; a name that is taken raises ValueError.

    ``facts`` are the other fields of :class:`Scaler`.
    """

    def register(call: ScalerCall) -> ScalerCall:
        SCALERS.add(Scaler(name, call, module, **facts))
        return call

    return register


# What is installed for a module, where that is called otherwise; either OpenCV will do.
PACKAGES = {"cv2": "opencv-python (or opencv-python-headless)", "PIL": "pillow", "skimage": "scikit-image"}


def get_scaler(name: str) -> Scaler:
    """The scaler called ``name``; ValueError with the valid names otherwise, ImportError where it is not installed."""
    scaler = SCALERS[name]
    if not scaler.installed:
        package = PACKAGES.get(scaler.module, scaler.module)
        raise ImportError(f"the scaler {name!r} needs {scaler.module!r}, which is not installed: pip install {package}")
    return scaler


def load(module: str) -> Any:
    """Import a library, in an order that the process survives; ImportError where there is none.

    torchvision imports triton, whose LLVM registers the same command line options as TensorFlow's. Loaded after
    TensorFlow it ends the process without an exception; loaded before, both work. So triton goes first.
    """
    if module in sys.modules:  # looking for triton takes longer than scaling an image
        return importlib.import_module(module)
    present = importlib.util.find_spec("triton") is not None and "triton" not in sys.modules
    if present and module in ("tensorflow", "keras", "jax") and "tensorflow" not in sys.modules:
        importlib.import_module("triton")
    if present and module == "torchvision" and "tensorflow" in sys.modules:
        raise ImportError("import torchvision before tensorflow: after it, torchvision would end the process")
    if module == "albumentations":
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or it asks the network for its newest version
    if module == "tensorflow":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return importlib.import_module(module)


def _family(
    library: str,
    module: str,
    options: dict[str, Any],
    *,
    dtype: str = "uint8",
    default: str = "",
    facts: Mapping[str, Facts] = NO_FACTS,
) -> Callable[[Callable[..., Image]], Callable[..., Image]]:
    """Register ``function(option, image, size)`` as the scaler ``library:algorithm`` for every algorithm: option.

    ``facts`` are further fields of :class:`Scaler`, each by algorithm.
    """

    def register(function: Callable[..., Image]) -> Callable[..., Image]:
        for algorithm, option in options.items():
            own = {fact: known[algorithm] for fact, known in facts.items() if algorithm in known}
            own |= {"dtype": dtype, "default": algorithm == default}
            register_scaler(f"{library}:{algorithm}", module, **own)(partial(function, option))
        return function

    return register


def _sampled(**filters: Sampling) -> dict[str, Facts]:
    """The facts of the algorithms that are filters of fixed width."""
    feasible = {name: 4.0 if filter.support else 3.0 for name, filter in filters.items()}
    return {"sampling": filters, "feasible_from": feasible}


def _antialiased(options: dict[str, Any]) -> dict[str, tuple[Any, bool]]:
    """Each algorithm without antialiasing and, as ``algorithm+antialias``, with it."""
    return {f"{name}{'+antialias' * on}": (option, on) for name, option in options.items() for on in (False, True)}


def _float_levels(image: Image) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(image, dtype=np.float32)


OURS = {name: name for name in KERNELS}


@_family("secure_resize", "secure_resize", OURS, default="area", facts={"kernel": OURS})
def _ours(kernel: str, image: Image, size: Size) -> Image:
    return resize_unchecked(image, size, kernel=kernel)


OPENCV = {
    "linear": "INTER_LINEAR",
    "nearest": "INTER_NEAREST",
    "nearest_exact": "INTER_NEAREST_EXACT",
    "linear_exact": "INTER_LINEAR_EXACT",
    "cubic": "INTER_CUBIC",
    "area": "INTER_AREA",
    "lanczos4": "INTER_LANCZOS4",
}


# Lanczos reads six or eight pixels an axis: 5 instead of the 4 of linear and cubic.
_OPENCV_FILTERS = _sampled(nearest=CORNER, nearest_exact=NEAREST, linear=LINEAR, linear_exact=LINEAR, cubic=CUBIC_SHARP)
_OPENCV_FILTERS["feasible_from"] = {**_OPENCV_FILTERS["feasible_from"], "lanczos4": 5.0}


@_family("opencv", "cv2", OPENCV, default="linear", facts=_OPENCV_FILTERS)
def _opencv(interpolation: str, image: Image, size: Size) -> Image:
    cv2 = load("cv2")
    return np.asarray(cv2.resize(image, size[::-1], interpolation=getattr(cv2, interpolation)))


TENSORFLOW = ("bilinear", "nearest", "bicubic", "area", "gaussian", "lanczos3", "lanczos5", "mitchellcubic")


_TENSORFLOW_FILTERS = _sampled(nearest=NEAREST, bilinear=LINEAR, bicubic=CUBIC)
_TENSORFLOW_FILTERS["feasible_from"] = {**_TENSORFLOW_FILTERS["feasible_from"], "lanczos3": 5.0, "lanczos5": 5.0}


@_family(
    "tensorflow",
    "tensorflow",
    _antialiased({name: name for name in TENSORFLOW}),
    default="bilinear",
    facts=_TENSORFLOW_FILTERS,
)
def _tensorflow(option: tuple[str, bool], image: Image, size: Size) -> Image:
    method, antialias = option
    return np.asarray(load("tensorflow").image.resize(np.atleast_3d(image), size, method=method, antialias=antialias))


KERAS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5")


@lru_cache(maxsize=8)
def _keras_layer(method: str, antialias: bool, size: Size) -> Any:
    keras = load("keras")
    layer = partial(keras.layers.Resizing, *size, interpolation=method, data_format="channels_last")
    if not antialias:
        return layer()
    try:
        return layer(antialias=True)
    except ValueError as error:
        raise ImportError(f"the Resizing layer of Keras {keras.__version__} has no antialias") from error


@_family("keras", "keras", _antialiased({name: name for name in KERAS}), default="bilinear")
def _keras(option: tuple[str, bool], image: Image, size: Size) -> Image:
    return np.asarray(load("keras").ops.convert_to_numpy(_keras_layer(*option, size)(np.atleast_3d(image))))


@_family("keras.ops", "keras", _antialiased({name: name for name in KERAS}), default="bilinear")
def _keras_ops(option: tuple[str, bool], image: Image, size: Size) -> Image:
    ops, (method, antialias) = load("keras").ops, option
    out = ops.image.resize(
        np.atleast_3d(image), size, interpolation=method, antialias=antialias, data_format="channels_last"
    )
    return np.asarray(ops.convert_to_numpy(out))


PILLOW = {
    **{name: (name.upper(), None, None) for name in ("bicubic", "nearest", "box", "bilinear", "hamming", "lanczos")},
    **{name: (name.upper(), None, None) for name in ("mks2013", "mks2021")},
    **{
        f"{name}+reducing_gap": (name.upper(), 2.0, None)
        for name in ("box", "bilinear", "hamming", "bicubic", "lanczos")
    },
    "bicubic+palette": ("BICUBIC", None, "P"),
}


# The same bytes as ours by that kernel: tests/test_resize.py.
_PILLOW_FACTS = {**_sampled(nearest=NEAREST), "kernel": {name: name for name in KERNELS if name in PILLOW}}


@_family("pillow", "PIL", PILLOW, default="bicubic", facts=_PILLOW_FACTS)
def _pillow(option: tuple[str, float | None, str | None], image: Image, size: Size) -> Image:
    module = load("PIL.Image")
    name, reducing_gap, mode = option
    if not hasattr(module.Resampling, name):
        raise ImportError(f"Pillow {module.__version__} has no filter {name}")

    def scale(plane: Image) -> Image:
        picture = module.fromarray(plane)
        if mode == "P":
            picture.putpalette([level for level in range(256) for _ in "RGB"])  # "L" becomes "P", the bytes stay
        small = picture.resize(size[::-1], getattr(module.Resampling, name), reducing_gap=reducing_gap)
        return np.asarray(small)

    if image.ndim == 2 or (image.shape[2] == 3 and image.dtype == np.uint8 and mode is None):
        return scale(np.ascontiguousarray(image))
    # Two and four channels would be taken for an alpha channel, and "F" and "P" have one.
    planes = [scale(np.ascontiguousarray(image[..., channel])) for channel in range(image.shape[2])]
    return np.stack(planes, axis=-1)


TORCH = {
    **{mode: (mode, False) for mode in ("nearest", "nearest-exact", "area")},
    **_antialiased({mode: mode for mode in ("bilinear", "bicubic")}),
    "lanczos+antialias": ("lanczos", True),
}


def _through_tensor(function: Callable[[Any], Any], image: Image) -> Image:
    """A function of a (1, C, H, W) tensor applied to an array (H, W) or (H, W, C)."""
    torch = load("torch")
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.atleast_3d(image), -1, 0)))[None]
    return np.moveaxis(function(planes)[0].numpy(), 0, -1)


_TORCH_FILTERS: dict[str, Sampling] = {"nearest": CORNER, "bilinear": LINEAR, "bicubic": CUBIC_SHARP}


@_family("torch", "torch", TORCH, default="nearest", facts=_sampled(**_TORCH_FILTERS, **{"nearest-exact": NEAREST}))
def _torch(option: tuple[str, bool], image: Image, size: Size) -> Image:
    mode, antialias = option
    interpolate = load("torch").nn.functional.interpolate
    image = _float_levels(image) if mode == "area" else image  # not implemented for uint8
    return _through_tensor(partial(interpolate, size=size, mode=mode, antialias=antialias), image)


TORCHVISION = {
    **_antialiased({name: name.upper() for name in ("bilinear", "bicubic")}),
    **{name: (name.upper(), True) for name in ("nearest", "nearest_exact", "lanczos")},
}
TORCHVISION["lanczos+antialias"] = TORCHVISION.pop("lanczos")


@_family(
    "torchvision",
    "torchvision",
    TORCHVISION,
    default="bilinear+antialias",
    facts=_sampled(**_TORCH_FILTERS, nearest_exact=NEAREST),
)
def _torchvision(option: tuple[str, bool], image: Image, size: Size) -> Image:
    load("torchvision")
    functional = load("torchvision.transforms.v2.functional")
    mode = getattr(load("torchvision.transforms").InterpolationMode, option[0])
    return _through_tensor(lambda x: functional.resize(x, list(size), interpolation=mode, antialias=option[1]), image)


KORNIA = _antialiased({mode: mode for mode in ("bilinear", "nearest", "bicubic", "area")})


@_family("kornia", "kornia", KORNIA, dtype="float32", default="bilinear")
def _kornia(option: tuple[str, bool], image: Image, size: Size) -> Image:
    function, (mode, antialias) = load("kornia.geometry.transform").resize, option
    return _through_tensor(
        lambda planes: function(planes, size, interpolation=mode, antialias=antialias), _float_levels(image)
    )


@lru_cache(maxsize=8)
def _albumentations_transform(interpolation: str, size: Size) -> Any:
    return load("albumentations").Resize(*size, interpolation=getattr(load("cv2"), interpolation))


@_family("albumentations", "albumentations", OPENCV, default="linear", facts=_OPENCV_FILTERS)
def _albumentations(interpolation: str, image: Image, size: Size) -> Image:
    return np.asarray(_albumentations_transform(interpolation, size)(image=image)["image"])


ORDERS = {"nearest": 0, "linear": 1, "quadratic": 2, "cubic": 3, "quartic": 4, "quintic": 5}


@_family("skimage", "skimage", _antialiased(ORDERS), dtype="float32", default="linear+antialias")
def _skimage(option: tuple[int, bool], image: Image, size: Size) -> Image:
    order, antialias = option
    function = load("skimage.transform").resize
    out = function(image, (*size, *image.shape[2:]), order=order, anti_aliasing=antialias)
    return np.asarray(out) * (255 if image.dtype == np.uint8 and out.dtype != np.uint8 else 1)  # uint8 becomes [0, 1]


@_family("scipy", "scipy", ORDERS, default="cubic")
def _scipy(order: int, image: Image, size: Size) -> Image:
    zoom = (size[0] / image.shape[0], size[1] / image.shape[1], 1)[: image.ndim]
    return np.asarray(load("scipy.ndimage").zoom(image, zoom, order=order))


JAX = {
    "nearest": ("nearest", True),
    **_antialiased({name: name for name in ("linear", "cubic", "cubic-pytorch", "lanczos3", "lanczos5")}),
}


@_family("jax", "jax", JAX, default="linear+antialias")
def _jax(option: tuple[str, bool], image: Image, size: Size) -> Image:
    method, antialias = option
    return np.asarray(load("jax.image").resize(image, (*size, *image.shape[2:]), method, antialias=antialias))


def _enlarges(in_size: Size, out_size: Size) -> bool:
    return out_size[0] > in_size[0] or out_size[1] > in_size[1]


def _odd(in_size: Size, out_size: Size) -> bool:
    return any(
        n_in % n_out == 0 and n_in // n_out % 2 and n_in > n_out for n_in, n_out in zip(in_size, out_size, strict=True)
    )


_TWO_PASSES = "the result of the first pass is rounded to 8 bits and cut off to [0, 255] before the second"
_ONE_TAP = "at odd integer ratios every output lies on the centre of one source pixel, which is all that it reads"
_FIRST = "reads the first pixel of each footprint, floor(i·β): offset 0 at 4:1, where Pillow and nearest_exact read 2"
_OWN_RANGE = (
    "cuts off at the image's own darkest and brightest value (clip=True), which is not linear; the model is of images "
    "that hold black and white, and where none can be sent along (1-pixel axes, enlarging small images) there is none"
)

_TAILS = "the splines' recursive prefilter reaches far; its faintest weights are lost in the rounding to 8 bits"

DEVIATIONS: tuple[Deviation, ...] = (
    Deviation("no-area", "opencv:area", "averages while both axes shrink; it interpolates sparsely as soon as either "
              "is enlarged", where=_enlarges),
    Deviation("no-area", "albumentations:area", "OpenCV's: it interpolates sparsely as soon as either axis is enlarged",
              where=_enlarges),
    Deviation("one-pixel", "opencv:linear*", _ONE_TAP, where=_odd),
    Deviation("one-pixel", "opencv:cubic", _ONE_TAP, where=_odd),
    Deviation("one-pixel", "opencv:lanczos4", _ONE_TAP, where=_odd),
    Deviation("first-pixel", "opencv:nearest", _FIRST),
    Deviation("first-pixel", "albumentations:nearest", _FIRST),
    Deviation("first-pixel", "torch:nearest", _FIRST),
    Deviation("first-pixel", "torchvision:nearest", _FIRST),
    Deviation("coarse-weights", "*:lanczos4", "8-bit images are weighed with 11-bit weights", levels=0.25),
    Deviation("two-roundings", "pillow:[!n]*", _TWO_PASSES, levels=0.75),
    Deviation("two-roundings", "torch:[bl]*", f"in uint8 {_TWO_PASSES}", levels=0.75),
    Deviation("two-roundings", "torchvision:[bl]*", f"in uint8 {_TWO_PASSES}", levels=0.75),
    Deviation("two-roundings", "secure_resize:[!a]*", f"as in Pillow, {_TWO_PASSES}", levels=0.75),
    Deviation("three-roundings", "pillow:*+reducing_gap", "the image is first reduced by a whole factor and rounded",
              levels=0.5),
    Deviation("nearest-in-p-and-1", "pillow:*", "images of mode P and 1 are scaled by NEAREST whatever filter is asked "
              "for"),
    Deviation("premultiplied", "pillow:*", "with an alpha channel (LA, RGBA) colours are multiplied by alpha first: "
              "not linear; probed here without"),
    Deviation("no-effect", "tensorflow:nearest+antialias", "antialias=True changes nothing for nearest"),
    Deviation("no-effect", "tensorflow:area+antialias", "antialias=True changes nothing for area"),
    Deviation("no-effect", "keras*:nearest+antialias", "antialias=True changes nothing for nearest"),
    Deviation("no-effect", "keras*:area+antialias", "antialias=True changes nothing for area"),
    Deviation("long-tails", "skimage:qu*", _TAILS, levels=0.25),
    Deviation("long-tails", "skimage:cubic*", _TAILS, levels=0.25),
    Deviation("long-tails", "scipy:cubic", _TAILS, levels=0.25),
    Deviation("long-tails", "scipy:qu*", _TAILS, levels=0.25),
    Deviation("own-range", "skimage:qu*", _OWN_RANGE),
    Deviation("own-range", "skimage:cubic*", _OWN_RANGE),
    Deviation("rounded-filter", "skimage:nearest+antialias", "the Gaussian before it rounds to 8 bits after each axis",
              levels=1.5),
    Deviation("aligned-corners", "scipy:*", "the corner pixels' centres stay where they are (grid_mode=False): the "
              "ratio is (n_in - 1)/(n_out - 1)"),
    Deviation("fails", "torch*:[bl]*", "uint8 images to 1x1 fail with an internal assertion",
              where=lambda in_size, out_size: out_size == (1, 1)),
)  # fmt: skip
