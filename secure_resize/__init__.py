"""Image resizing that image-scaling attacks cannot exploit.

``secure_resize.resize`` is the robust resize; ``secure_resize.integrations`` has the drop-in transforms for torchvision
and tf.data. Importing this package imports numpy and nothing else; ``attacks``, ``audit``, ``detect``, ``evaluate`` and
``scan`` are imported when they are first asked for.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from .core import backend
from .core.kernels import KERNELS, Kernel, get_kernel, register_kernel
from .core.operator import AxisOperator, Provenance, ScalingOperator, axis_operator, scaling_operator
from .decoding import DecodeError, decode
from .front_ends import FRONT_ENDS, FrontEnd
from .measure.certificates import Certificate, least_attack, pair_certificate
from .measure.clipping import Overshoot, overshoot
from .measure.exposure import Exposure, exposure
from .measure.probe import ProbeError, predict, probe
from .measure.scalers import SCALERS, Scaler, get_scaler, register_scaler
from .reconstruction.filters import reconstruct, reconstruct_resize
from .reconstruction.info import ReconstructionInfo, reconstruction_info
from .scaling import resize

if TYPE_CHECKING:
    from . import attacks, audit, detect, evaluate, scan
    from .detect import inspect

__all__ = [
    "FRONT_ENDS",
    "KERNELS",
    "SCALERS",
    "AxisOperator",
    "Certificate",
    "DecodeError",
    "Exposure",
    "FrontEnd",
    "Kernel",
    "Overshoot",
    "ProbeError",
    "Provenance",
    "ReconstructionInfo",
    "Scaler",
    "ScalingOperator",
    "attacks",
    "audit",
    "axis_operator",
    "backend",
    "decode",
    "detect",
    "evaluate",
    "exposure",
    "get_kernel",
    "get_scaler",
    "inspect",
    "least_attack",
    "overshoot",
    "pair_certificate",
    "predict",
    "probe",
    "reconstruct",
    "reconstruct_resize",
    "reconstruction_info",
    "register_kernel",
    "register_scaler",
    "resize",
    "scaling_operator",
    "scan",
]
__version__ = "0.1.0"

# In a source checkout the integrations lie beside this package; installed, they lie inside it.
if (Path(__file__).parent.parent / "integrations" / "torchvision").is_dir():
    __path__.append(str(Path(__file__).parent.parent))


if not TYPE_CHECKING:  # for a type checker every name would be there

    def __getattr__(name):
        if name in ("attacks", "audit", "detect", "evaluate", "scan"):
            return importlib.import_module(f"{__name__}.{name}")
        if name == "inspect":
            return importlib.import_module(f"{__name__}.detect").inspect
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
