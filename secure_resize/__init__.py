"""Image resizing that image-scaling attacks cannot exploit.

``secure_resize.resize`` is the robust resize; ``secure_resize.integrations`` has the drop-in transforms for torchvision
and tf.data. Importing this package imports numpy and nothing else.
"""

from pathlib import Path as _Path

from . import attacks
from .core import backend
from .core.kernels import KERNELS, Kernel, get_kernel
from .core.operator import AxisOperator, Provenance, ScalingOperator, axis_operator, scaling_operator
from .measure.certificates import Certificate, least_attack, pair_certificate
from .measure.exposure import Exposure, exposure
from .measure.probe import ProbeError, predict, probe
from .reconstruction.filters import reconstruct, reconstruct_resize
from .reconstruction.info import ReconstructionInfo, reconstruction_info
from .scaling import resize

__all__ = [
    "KERNELS",
    "AxisOperator",
    "Certificate",
    "Exposure",
    "Kernel",
    "ProbeError",
    "Provenance",
    "ReconstructionInfo",
    "ScalingOperator",
    "attacks",
    "axis_operator",
    "backend",
    "exposure",
    "get_kernel",
    "least_attack",
    "pair_certificate",
    "predict",
    "probe",
    "reconstruct",
    "reconstruct_resize",
    "reconstruction_info",
    "resize",
    "scaling_operator",
]
__version__ = "0.1.0"

# In a source checkout the integrations lie beside this package; installed, they lie inside it.
if (_Path(__file__).parent.parent / "integrations" / "torchvision").is_dir():
    __path__.append(str(_Path(__file__).parent.parent))
