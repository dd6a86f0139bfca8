"""The directory that training hands to serving: read, verified and bound to the ONNX runtime.

Nothing in a bundle is executed: JSON, and two or three ONNX graphs whose digests are checked before use.
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
from detector.bundle.graphs import EXPECTED, EndingModel, Floats, Ints, ReaderModel, StepModel
from detector.bundle.manifest import SCHEMA_VERSION, InputSettings, Manifest
from detector.bundle.reader import READ_EVENTS, Reader, ReaderCalibration

__all__ = [
    "EXPECTED",
    "READ_EVENTS",
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
    "Reader",
    "ReaderCalibration",
    "ReaderModel",
    "SessionCalibration",
    "StepModel",
    "StreamCalibration",
    "Tail",
    "identify",
    "load",
    "write",
]
