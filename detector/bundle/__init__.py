"""The directory that training hands to serving: read, verified and bound to the ONNX runtime.

Nothing in a bundle is executed: JSON, and two ONNX graphs whose digests are checked before use.
"""

from detector.bundle.calibration import (
    SLOTS,
    Calibration,
    HopCalibration,
    HopTimes,
    HopUsual,
    NewMessages,
    Pauses,
    SessionCalibration,
    StreamCalibration,
    Tail,
)
from detector.bundle.directory import Bundle, identify, load, write
from detector.bundle.graphs import EXPECTED, EndingModel, Floats, Ints, StepModel
from detector.bundle.manifest import SCHEMA_VERSION, InputSettings, Manifest

__all__ = [
    "EXPECTED",
    "SCHEMA_VERSION",
    "SLOTS",
    "Bundle",
    "Calibration",
    "EndingModel",
    "Floats",
    "HopCalibration",
    "HopTimes",
    "HopUsual",
    "InputSettings",
    "Ints",
    "Manifest",
    "NewMessages",
    "Pauses",
    "SessionCalibration",
    "StepModel",
    "StreamCalibration",
    "Tail",
    "identify",
    "load",
    "write",
]
