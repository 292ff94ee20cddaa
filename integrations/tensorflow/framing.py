"""The functions of ``tf.image`` that resize and crop or pad at once."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .arguments import InvalidInput, Method, Path, Tensor, as_images, size_of
from .functional import resize

__all__ = ["crop_and_resize", "resize_with_crop_or_pad", "resize_with_pad"]

resize_with_crop_or_pad = tf.image.resize_with_crop_or_pad  # scales nothing


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def resize_with_pad(
    image: Tensor,
    target_height: int,
    target_width: int,
    method: Method = "bilinear",
    antialias: bool = True,
    *,
    dtype: Any = None,
    path: Path = "auto",
    labels: bool = False,
) -> Tensor:
    """``tf.image.resize_with_pad``, robustly: fitted into the size by :func:`resize`, then padded with zeros.

    >>> srtf.resize_with_pad(tf.zeros((768, 1024, 3), tf.uint8), 224, 224).shape
    TensorShape([224, 224, 3])

    The arguments and errors are TensorFlow's, and :func:`resize`'s keyword ones; the result is float32 unless ``dtype``
    says otherwise.
    """
    for name, length in (("target_height", target_height), ("target_width", target_width)):
        if not tf.is_tensor(length) and length <= 0:
            raise InvalidInput(f"{name} must be > 0, got {length!r}")
    with tf.name_scope("resize_image_with_pad"):
        image = as_images(image)
        height, width = (tf.cast(n, tf.float32) for n in size_of(image))
        target = tf.cast(target_height, tf.float32), tf.cast(target_width, tf.float32)
        ratio = tf.maximum(width / target[1], height / target[0])
        exact = height / ratio, width / ratio  # in float32, as TensorFlow does it
        size = [tf.cast(tf.floor(n), tf.int32) for n in exact]
        before = [tf.maximum(0, tf.cast(tf.floor((n - m) / 2), tf.int32)) for n, m in zip(target, exact, strict=True)]
        resized = resize(image, size, method, antialias=antialias, dtype=dtype, path=path, labels=labels)
        return tf.image.pad_to_bounding_box(resized, *before, target_height, target_width)


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
def crop_and_resize(
    image: Tensor,
    boxes: Tensor,
    box_indices: Tensor,
    crop_size: Any,
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
    name: str | None = None,
    *,
    labels: bool = False,
) -> Tensor:
    """``tf.image.crop_and_resize``, robustly: where a box shrinks, the triangle of bilinear is stretched to the ratio.

    >>> boxes = [[0.0, 0.0, 1.0, 1.0], [0.2, 0.6, 1.3, 0.9]]
    >>> srtf.crop_and_resize(tf.zeros((1, 768, 1024, 3)), boxes, [0, 0], (224, 224)).shape
    TensorShape([2, 224, 224, 3])

    The arguments are TensorFlow's. Where a box is enlarged, the result is too (float32; within 10⁻⁵ of the image's
    largest magnitude), and so are the places of the outputs everywhere: the corners of a box are the centres of its
    corner outputs, outputs that lie outside the image are ``extrapolation_value``, flipped boxes are flipped. The
    triangles may reach over a box's edge, by one output. Differentiable in the images and the boxes. ``"nearest"``
    samples: it is TensorFlow's own with ``labels`` (the images are label maps), otherwise refused. Each box takes a
    matrix of crop_height x image_height and one of the widths.
    """
    if method not in ("bilinear", "nearest"):
        raise ValueError(f"method must be 'bilinear' or 'nearest', got {method!r}")
    if method == "nearest":
        if not labels:
            raise ValueError(
                "the method 'nearest' reads one pixel per output, and an image-scaling attack controls it completely; "
                "use 'bilinear', or labels=True where the images are label maps"
            )
        return _stock(image, boxes, box_indices, crop_size, method, extrapolation_value)
    with tf.name_scope(name or "secure_crop_and_resize"):
        image = tf.cast(as_images(image), tf.float32)
        boxes, indices = tf.convert_to_tensor(boxes, tf.float32), tf.convert_to_tensor(box_indices, tf.int32)
        size = tf.convert_to_tensor(crop_size, tf.int32)
        if image.shape.rank == 3 or not size.shape.is_compatible_with([2]):
            raise InvalidInput(
                f"image must have shape (N, H, W, C) and crop_size (2,), got {image.shape} and {size.shape}"
            )
        if not boxes.shape.is_compatible_with([None, 4]) or not indices.shape.is_compatible_with(boxes.shape[:1]):
            raise InvalidInput(f"boxes must have shape (B, 4), box_indices (B,), got {boxes.shape} and {indices.shape}")
        # The checks that TensorFlow makes when it runs, by a call that takes nothing from the images.
        _stock(image[..., :1], boxes, indices, tf.ones([2], tf.int32), "bilinear", 0.0)
        height, width = (tf.shape(image)[axis] for axis in (1, 2))

        def crop(box: tuple[Tensor, Tensor]) -> Tensor:
            edges, index = box
            rows, rows_inside = _triangles(edges[0], edges[2], height, size[0])
            cols, cols_inside = _triangles(edges[1], edges[3], width, size[1])
            out = tf.einsum("ih,hwc,jw->ijc", rows, image[index], cols)
            inside = rows_inside[:, None] & cols_inside[None, :]
            return tf.where(inside[..., None], out, tf.cast(extrapolation_value, tf.float32))

        static = tf.get_static_value(size)
        shape = [None, None] if static is None else [int(n) for n in static]
        spec = tf.TensorSpec([*shape, image.shape[-1]], tf.float32)
        return tf.map_fn(crop, (boxes, indices), fn_output_signature=spec)


def _stock(image: Tensor, boxes: Tensor, indices: Tensor, size: Tensor, method: str, outside: float) -> Tensor:
    """The operation, not ``tf.image.crop_and_resize``: :func:`crop_and_resize` itself may stand in its place."""
    return tf.raw_ops.CropAndResize(
        image=image, boxes=boxes, box_ind=indices, crop_size=size, method=method, extrapolation_value=outside
    )


def _triangles(low: Tensor, high: Tensor, n_in: Tensor, n_out: Tensor) -> tuple[Tensor, Tensor]:
    """Weights float32 (n_out, n_in) of the outputs between ``low`` and ``high`` (1 is the last pixel's centre), and
    bool (n_out,): those that lie in the image.

    Of one output alone, in the middle, the triangle reaches over the box.
    """
    last = tf.cast(n_in - 1, tf.float32)
    length = (high - low) * last
    step = length / tf.cast(tf.maximum(n_out - 1, 1), tf.float32)
    places = low * last + tf.range(tf.cast(n_out, tf.float32)) * step
    places = tf.where(n_out > 1, places, tf.reshape((low + high) * 0.5 * last, [1]))
    stretch = tf.maximum(tf.abs(step), 1.0)
    inside = (places >= 0) & (places <= last)
    pixels = tf.range(tf.cast(n_in, tf.float32))
    weights = tf.maximum(1.0 - tf.abs(pixels[None, :] - places[:, None]) / stretch, 0.0)
    return tf.math.divide_no_nan(weights, tf.reduce_sum(weights, 1, keepdims=True)), inside
