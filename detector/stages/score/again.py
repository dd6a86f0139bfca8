"""Read a closed session again, as a whole and from both ends, before its alert goes out. Pure.

The score gains the verdict's z less what is ordinary among sessions that look as strange. So an ordinary
verdict takes at most `ORDINARY_Z` away: what the reader cannot see (counts, unknown lines) still alerts.
"""

from collections.abc import Sequence

import numpy as np

from detector.bundle import Floats, Reader
from detector.records import END
from detector.stages.reading import Reading

ORDINARY_Z = 1.0  # one in ten normal sessions with as high a first score has a stranger verdict
MOST_ATTENDED = 3  # events that a reading names
LEAST_ATTENTION = 0.1  # share of all attention that makes an event one of them


def read_again(reader: Reader, tokens: Sequence[int], last: int, first: float) -> Reading:
    """Read the newest `tokens` of a session of `last` events that was closed with the score `first`."""
    verdict, attention = reader.model.run(np.array([*tokens, END], np.int64))
    z = reader.calibration.verdict.z(verdict)
    return Reading(first, z, second_score(first, z), _attended(tokens, last, attention))


def second_score(first: float, z: float) -> float:
    """What the score becomes."""
    return max(0.0, first + z - ORDINARY_Z)


def _attended(tokens: Sequence[int], last: int, attention: Floats) -> list[tuple[int, int, float]]:
    """The events that most attention went to; the end counts as the event after the last."""
    most = np.argsort(-attention, kind="stable")[:MOST_ATTENDED].tolist()
    whole = [*tokens, END]
    begin = last - len(tokens) + 1
    return [
        (begin + at, whole[at], round(float(attention[at]), 4))
        for at in most
        if attention[at] >= LEAST_ATTENTION
    ]
