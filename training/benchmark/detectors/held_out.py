"""How the sessions that a fit held out measured, kept beside its bundle. Reads and writes files."""

from pathlib import Path

import msgspec
import numpy as np

from detector.stages.score.ending import Closed
from training.calibrate.calibrate import Measured

FILE = "held_out.json"


class _HeldOut(msgspec.Struct):
    closed: list[Closed]
    largest: list[float]
    end: list[float]


def keep_held_out(bundle: Path, measured: Measured) -> None:
    """Write what calibration needs of them."""
    kept = _HeldOut(measured.closed, measured.largest.tolist(), measured.end.tolist())
    (bundle / FILE).write_bytes(msgspec.json.encode(kept))


def held_out(bundle: Path) -> Measured:
    """What was kept; single events were not."""
    kept = msgspec.json.decode((bundle / FILE).read_bytes(), type=_HeldOut)
    return Measured(kept.closed, np.array(kept.largest), np.array(kept.end), np.empty(0))
