"""Labelled sessions as a benchmark holds them: lines with the session of each. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Material:
    """Sessions [N] and their lines [E] in the order of the log; of ready sequences a line is an event."""

    lines: Sequence[bytes]
    owner: Numbers  # [E] session of each line
    names: Sequence[str]  # of the sessions [N]
    anomalous: Mask  # [N]
    to_train: Mask  # [N] trains and is not judged, by its file
    seconds: npt.NDArray[np.float64] | None = None  # [E] time of each line, where the split needs it

    def only(self, chosen: Mask) -> "Material":
        """The chosen sessions [N] and their lines."""
        kept = chosen[self.owner]
        place = np.cumsum(chosen) - 1
        return Material(
            [self.lines[i] for i in np.flatnonzero(kept).tolist()],
            place[self.owner[kept]],
            [self.names[i] for i in np.flatnonzero(chosen).tolist()],
            self.anomalous[chosen],
            self.to_train[chosen],
            None if self.seconds is None else self.seconds[kept],
        )

    def last_lines(self) -> Numbers:
        """Where the last line of each session is [N]; -1 for a session without any."""
        last = np.full(len(self.names), -1)
        last[self.owner] = np.arange(len(self.owner))  # of equal places the last one stays
        return last


@dataclass(frozen=True, slots=True)
class Halves:
    """What one seed trains on, and what it judges."""

    train: Material
    test: Material
