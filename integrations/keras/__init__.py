"""Robust resizing for Keras 3: its preprocessing layers that shrink images, and its loaders of image files.

>>> from secure_resize.integrations.keras import Resizing, image_dataset_from_directory
>>> model = keras.Sequential([Resizing(224, 224), keras.layers.Rescaling(1 / 255), ...])

Each has the name, the arguments and the results of Keras's own with ``antialias=True``. They run on every backend, in
models and in tf.data; a model that holds one is saved, loaded and exported like any other (to load a ``.keras`` file,
import this module first). :mod:`.layers` has the layers, :mod:`.files` the loaders, :mod:`.backend` what both resize
with.
"""

from .files import image_dataset_from_directory, load_img, smart_resize
from .layers import CenterCrop, RandomCrop, RandomZoom, Resizing

__all__ = [
    "CenterCrop",
    "RandomCrop",
    "RandomZoom",
    "Resizing",
    "image_dataset_from_directory",
    "load_img",
    "smart_resize",
]
