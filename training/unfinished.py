"""Which sessions the end of the logs cut off, told by how long sessions are quiet. No I/O."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detector.bundle import Pauses
from detector.stages.judge.pauses import goes_on, pause_class
from training.spool import NO_TIME, Grouped

CLASSES = 64  # more than 64-bit microseconds can reach

Life = tuple[int, int]  # where a session begins and ends in the grouped events
Counts = npt.NDArray[np.int64]


def finished(
    grouped: Grouped, lives: Sequence[Life], tokens: int, end_us: int | None, least: int
) -> tuple[list[Life], Pauses]:
    """The sessions that were over when the logs ended, and how long all were quiet.

    A session that was cut off teaches that its last line is an ending, which it was not. Where fewer
    than `least` would be left, all are kept. `tokens` is the vocabulary's size.
    """
    timed = [life for life in lives if (grouped.events["time"][slice(*life)] != NO_TIME).all()]
    if end_us is None or not timed:
        return list(lives), Pauses([], [])
    went_on, ended = np.zeros((2, tokens, CLASSES), np.int64)
    for life in timed:
        _count_pauses(went_on, grouped, life)
    lasts = [_last(grouped, life, end_us) for life in timed]
    for token, quiet_us in lasts:
        ended[token, pause_class(quiet_us)] += 1
    first = _pauses(went_on, ended)
    cut_off = [goes_on(first, token, quiet_us) for token, quiet_us in lasts]
    if len(lives) - sum(cut_off) < least:
        return list(lives), first
    for (token, quiet_us), cut in zip(lasts, cut_off, strict=True):
        ended[token, pause_class(quiet_us)] -= cut
    gone = {life for life, cut in zip(timed, cut_off, strict=True) if cut}
    return [life for life in lives if life not in gone], _pauses(went_on, ended)


def _count_pauses(went_on: Counts, grouped: Grouped, life: Life) -> None:
    events = grouped.events[slice(*life)]
    pauses_ms = np.diff(np.maximum.accumulate(events["time"])) // 1000
    classes = np.frexp(pauses_ms.astype(np.float64))[1]  # the exponent is the bit length
    np.add.at(went_on, (events["token"][:-1], classes), 1)


def _last(grouped: Grouped, life: Life, end_us: int) -> tuple[int, int]:
    """The last token of a session, and how long it was quiet when the logs ended."""
    events = grouped.events[slice(*life)]
    return int(events["token"][-1]), max(0, end_us - int(events["time"].max()))


def _pauses(went_on: Counts, ended: Counts) -> Pauses:
    return Pauses(*([_trimmed(row) for row in counts.tolist()] for counts in (went_on, ended)))


def _trimmed(row: list[int]) -> list[int]:
    while row and not row[-1]:
        row.pop()
    return row
