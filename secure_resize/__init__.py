"""Image resizing that image-scaling attacks cannot exploit.

``secure_resize.resize`` is the robust resize; ``secure_resize.integrations`` has the drop-in transforms for torchvision
and tf.data. Importing this package imports numpy and nothing else.
"""

from pathlib import Path as _Path

from . import attacks
from .core import backend
from .kernels import KERNELS, Kernel, get_kernel
from .operator import AxisOperator, ScalingOperator, axis_operator, scaling_operator
from .resize import resize

__all__ = [
    "KERNELS",
    "AxisOperator",
    "Kernel",
    "ScalingOperator",
    "attacks",
    "axis_operator",
    "backend",
    "get_kernel",
    "resize",
    "scaling_operator",
]
__version__ = "0.1.0"

# In a source checkout the integrations lie beside this package; installed, they lie inside it.
if (_Path(__file__).parent.parent / "integrations" / "torchvision").is_dir():
    __path__.append(str(_Path(__file__).parent.parent))
