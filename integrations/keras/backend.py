"""A Keras backend as layers see it, but for its functions that shrink images."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["RobustBackend"]

Tensor = Any  # of whatever backend
OF_TENSORFLOW = ("bilinear", "bicubic", "lanczos3", "lanczos5")  # what our TensorFlow integration does for the layers


class RobustBackend:
    """``backend``, a module of Keras or the DynamicBackend of its layers, whose ``image.resize`` is always antialiased.

    ``path`` is that of :func:`secure_resize.integrations.tensorflow.resize`. Of uint8 and uint16 images it makes
    float32 on TensorFlow, as Keras does, or keeps them with ``exact``, as the core's bytes.
    """

    def __init__(self, backend: Any, path: str = "auto", exact: bool = False) -> None:
        self._inner, self._path, self._exact = backend, path, exact

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_inner", "_path", "_exact"):  # (asked for while it is copied)
            raise AttributeError(name)
        found = getattr(self._inner, name)
        return _RobustImage(found, self._inner, self._path, self._exact) if name == "image" else found


class _RobustImage:
    """A backend's ``image``."""

    def __init__(self, image: Any, backend: Any, path: str, exact: bool) -> None:
        self._image, self._backend, self._path, self._exact = image, backend, path, exact

    def __getattr__(self, name: str) -> Any:
        return getattr(self._image, name)

    def resize(
        self, images: Tensor, size: Any, interpolation: str = "bilinear", antialias: bool = True, **options: Any
    ) -> Tensor:
        """``keras.ops.image.resize`` with antialias; nearest, which layers use for masks alone, as it is."""
        plain = not (options.get("crop_to_aspect_ratio") or options.get("pad_to_aspect_ratio"))
        of_tensorflow = _name(self._backend) == "tensorflow" and interpolation in OF_TENSORFLOW
        if not (plain and of_tensorflow and options.get("data_format", "channels_last") == "channels_last"):
            return self._image.resize(images, size, interpolation=interpolation, antialias=True, **options)
        from secure_resize.integrations import tensorflow as srtf

        dtype = images.dtype if self._exact and images.dtype in ("uint8", "uint16") else None
        return srtf.resize(images, tuple(size), interpolation, dtype=dtype, path=self._path)

    def affine_transform(
        self,
        images: Tensor,
        transform: Tensor,
        interpolation: str = "bilinear",
        fill_mode: str = "constant",
        fill_value: float = 0,
        data_format: str | None = None,
    ) -> Tensor:
        """Zooms (no rotations: ``transform`` is [zx, 0, x, 0, zy, y, 0, 0]) that read every pixel where they shrink.

        Bilinear, with its triangle stretched by the zoom where that is above 1. Nearest, for masks, as it is.
        """
        if interpolation == "nearest":
            return self._image.affine_transform(
                images, transform, interpolation, fill_mode, fill_value, data_format=data_format
            )
        ops = self._backend.numpy
        first = data_format == "channels_first"
        shape = self._backend.shape(images)
        height, width = shape[2:] if first else shape[1:3]
        x = self._backend.cast(images, "float32")
        rows, rows_sum = _zoomed(self._backend, height, transform[:, 4], transform[:, 5], fill_mode)
        cols, cols_sum = _zoomed(self._backend, width, transform[:, 0], transform[:, 2], fill_mode)
        out = ops.einsum("nih,nchw,njw->ncij" if first else "nih,nhwc,njw->nijc", rows, x, cols)
        if fill_mode == "constant" and fill_value:
            rest = 1.0 - rows_sum[:, :, None] * cols_sum[:, None, :]
            out = out + fill_value * (rest[:, None] if first else rest[..., None])
        return self._backend.cast(out, images.dtype)


def _zoomed(backend: Any, length: Any, zoom: Tensor, offset: Tensor, fill_mode: str) -> tuple[Tensor, Tensor]:
    """Weights float32 (N, n, n) of an axis of ``length`` n, output i lying at ``zoom * i + offset``; their sums (N, n).

    A sum is below 1 where the triangle reaches over the edge into a constant.
    """
    ops = backend.numpy
    beyond = length // 2 + 4  # at a zoom of 2, the largest there is, and with its triangle
    pixel = ops.arange(length + 2 * beyond) - beyond
    if fill_mode == "reflect":  # d c b a | a b c d | d c b a
        folded = ops.mod(pixel, 2 * length)
        source = ops.where(folded < length, folded, 2 * length - 1 - folded)
    elif fill_mode == "wrap":
        source = ops.mod(pixel, length)
    else:
        source = ops.clip(pixel, 0, length - 1)
    fold = backend.cast(source[:, None] == ops.arange(length)[None, :], "float32")
    if fill_mode == "constant":
        fold = fold * backend.cast((pixel >= 0) & (pixel < length), "float32")[:, None]
    center = zoom[:, None] * backend.cast(ops.arange(length), "float32")[None, :] + offset[:, None]
    stretch = ops.maximum(ops.absolute(zoom), 1.0)[:, None, None]
    distance = ops.absolute(backend.cast(pixel, "float32")[None, None, :] - center[:, :, None]) / stretch
    weights = ops.maximum(1.0 - distance, 0.0)
    weights = weights / ops.maximum(ops.sum(weights, axis=-1, keepdims=True), np.float32(1e-6))
    weights = ops.matmul(weights, fold)
    return weights, ops.sum(weights, axis=-1)


def _name(backend: Any) -> str:
    if not isinstance(backend, ModuleType):
        return str(backend._backend)  # (.name is newer than Keras 3.0)
    name = backend.__name__.rpartition(".")[2]  # keras.src.backend, or keras.src.backend.tensorflow
    return str(backend.backend() if name == "backend" else name)
