"""From an image file's bytes to a robustly scaled tensor, inside a graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .arguments import Method, Path, Tensor
from .functional import resize

__all__ = ["decode_and_resize"]


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def decode_and_resize(
    contents: Tensor,
    size: Any,
    method: Method = "area",
    *,
    channels: int = 3,
    dtype: Any = tf.uint8,
    path: Path = "auto",
    name: str | None = None,
) -> Tensor:
    """Decode one JPEG, PNG, GIF or BMP file and resize it robustly; safe for crafted files.

    >>> files.map(lambda path: srtf.decode_and_resize(tf.io.read_file(path), (224, 224)))

    JPEG files are decoded in full with the accurate inverse DCT. What ``tf.io.decode_jpeg`` does by default
    (INTEGER_FAST) makes another picture of extreme coefficients than everything else, and with ``ratio=`` any picture
    that a crafted file asks for.

    Parameters
    ----------
    contents
        A scalar string tensor: the file's bytes.
    size, method, path
        As for :func:`resize`; on the graph path it can be exported.
    channels
        3 for RGB, 1 for grey.
    dtype
        The result's: as no function of TensorFlow does this, it is uint8, that of the file, like that of
        :func:`secure_resize.decode`. ``tf.float32`` gives unrounded values, what :func:`resize` makes of the decoded
        image.
    name
        Name scope of the operations.

    Returns
    -------
    (h, w, channels) of ``dtype``; for JPEG files in uint8 the bytes of ``secure_resize.decode(..., exif=False)`` (of
    RGB): TensorFlow knows no EXIF orientation. A PNG file's alpha is dropped; of an animation this is the first frame.

    Raises
    ------
    ValueError
        Another number of channels, and what :func:`resize` raises. A file that cannot be decoded is a
        ``tf.errors.InvalidArgumentError``.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels!r}")
    with tf.name_scope(name or "secure_decode"):
        image = decoded(tf.convert_to_tensor(contents, tf.string), channels)
        image = tf.ensure_shape(image, [None, None, channels])
        return resize(image, size, method, dtype=dtype, path=path)


def decoded(contents: Tensor, channels: int) -> Tensor:
    """uint8 (H, W, channels) of a file's bytes: JPEG by the accurate inverse DCT, of an animation the first frame."""
    return tf.cond(
        tf.io.is_jpeg(contents),
        lambda: tf.io.decode_jpeg(contents, channels=channels, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(contents, channels=channels, expand_animations=False),
    )
