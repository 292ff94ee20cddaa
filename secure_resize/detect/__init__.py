"""Find attacked pictures: is what a scaler makes of a picture another one than a person sees?

:func:`examine` is one picture against scalers and sizes, :func:`inspect` the same from a file with everything that may
be meant; :data:`DETECTORS` holds the detectors, :func:`calibrate` fits them to clean pictures of yours.
"""

from . import certificate as _certificate, field as _field  # noqa: F401 (they register their rows)
from .calibration import Calibration, calibrate, shipped
from .detectors import DETECTORS, Detector, Measured, register_detector
from .examining import RATE, examine
from .file import examine_file, not_looked_at
from .inspecting import UNKNOWN_RATE, inspect
from .search import likely_targets
from .targets import KINDS, SIZES, Suspicion, Target, plausible_targets
from .views import View

__all__ = [
    "DETECTORS",
    "KINDS",
    "RATE",
    "SIZES",
    "UNKNOWN_RATE",
    "Calibration",
    "Detector",
    "Measured",
    "Suspicion",
    "Target",
    "View",
    "calibrate",
    "examine",
    "examine_file",
    "inspect",
    "likely_targets",
    "not_looked_at",
    "plausible_targets",
    "register_detector",
    "shipped",
]
