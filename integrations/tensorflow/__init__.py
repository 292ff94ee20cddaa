"""Robust resizing for TensorFlow: ``resize`` in place of ``tf.image.resize``, ``Resize`` for ``Dataset.map``, and
``decode_and_resize`` from a file's bytes on.

>>> from secure_resize.integrations import tensorflow as srtf
>>> dataset.map(srtf.Resize((224, 224)), num_parallel_calls=tf.data.AUTOTUNE)

There are two paths to the same bytes: ``"host"`` calls :func:`secure_resize.resize` on the tensor's buffer, ``"graph"``
is made of TensorFlow operations alone and can be exported and run where this package is not installed.

:mod:`.functional` has the functions, :mod:`.element` their forms for ``Dataset.map``, :mod:`.files` what starts with a
file; the paths are :mod:`.host` and :mod:`.graph`.
"""

from .element import Reconstruct, Resize
from .files import decode_and_resize
from .functional import reconstruct, resize

__all__ = ["Reconstruct", "Resize", "decode_and_resize", "reconstruct", "resize"]
