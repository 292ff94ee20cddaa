"""Robust resizing for TensorFlow: ``resize`` in place of ``tf.image.resize``, ``Resize`` for ``Dataset.map``, and
``decode_and_resize`` from a file's bytes on.

>>> from secure_resize.integrations import tensorflow as srtf
>>> dataset.map(srtf.Resize((224, 224)), num_parallel_calls=tf.data.AUTOTUNE)

Results are float32 like ``tf.image.resize``'s, with the values of its ``antialias=True``; ``dtype=tf.uint8`` asks for
Pillow's bytes. There are two paths: ``"host"`` calls the package's core on the tensor's buffer, ``"graph"`` is made of
TensorFlow operations alone and can be exported and run where this package is not installed.

:mod:`.functional` has the functions, :mod:`.framing` those that crop and pad as well, :mod:`.element` their forms for
``Dataset.map``, :mod:`.files` what starts with a file. The paths are :mod:`.host` and :mod:`.graph`; :mod:`.where`
chooses one, and :mod:`.weights` has TensorFlow's own coefficients.
"""

from .arguments import InvalidInput
from .element import Reconstruct, Resize
from .files import decode_and_resize
from .framing import crop_and_resize, resize_with_crop_or_pad, resize_with_pad
from .functional import reconstruct, resize

__all__ = [
    "InvalidInput",
    "Reconstruct",
    "Resize",
    "crop_and_resize",
    "decode_and_resize",
    "reconstruct",
    "resize",
    "resize_with_crop_or_pad",
    "resize_with_pad",
]
