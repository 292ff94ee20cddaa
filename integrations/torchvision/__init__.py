"""Drop-in replacement for ``torchvision.transforms.v2`` whose resizes image-scaling attacks cannot exploit.

>>> from secure_resize.integrations.torchvision import v2
>>> transform = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])  # one import changed

:mod:`.v2` replaces the transforms that resize images and :mod:`.functional` their functions; every other name is
torchvision's own. Masks, bounding boxes and keypoints are torchvision's business and behave as ever.
"""

from secure_resize.integration_support import load as _load

_load("torchvision")  # or an ImportError that says what is missing, or in which order TensorFlow goes with it
