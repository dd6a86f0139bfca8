"""Measures of a stream that does not end: by incidents, not by events. Pure.

An incident is a maximal run of anomalous lines, merged over short gaps. It is found by an event that is newly
flagged near its start: an alert that is firing anyway would find everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.benchmark.measures.sessions import MILLION, scaled, spread
from training.benchmark.table.results import Part

MERGED_GAP = 50  # lines
NEAR = 20  # lines from an incident's start within which it has to be flagged
CLEAR = 2_000  # lines from any incident, beyond which nothing excuses an alert

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Said:
    """What a detector said of a stream [E]."""

    flagged: Places  # of the lines that call for an alert, ascending
    opened: Places  # of the lines at which alerts opened


def incidents(anomalous: Mask) -> list[tuple[int, int]]:
    """First and last line of every incident in a stream [E]."""
    at = np.flatnonzero(anomalous)
    if not len(at):
        return []
    breaks = np.flatnonzero(np.diff(at) > MERGED_GAP)
    firsts, lasts = at[np.append(0, breaks + 1)], at[np.append(breaks, len(at) - 1)]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def parts(anomalous: Mask, said: Said) -> list[Part]:
    """The whole stream and its halves."""
    size, half = len(anomalous), len(anomalous) // 2
    named = [("all", 0, size), ("first half", 0, half), ("second half", half, size)]
    known = incidents(anomalous)
    outside, clear = _apart(size, known, 0), _apart(size, known, CLEAR)
    busy = _before_flags(size, said.flagged)
    return [
        _part(name, (begin, end), known, said, outside=outside, clear=clear, busy=busy)
        for name, begin, end in named
    ]


def _part(
    name: str,
    span: tuple[int, int],
    known: Sequence[tuple[int, int]],
    said: Said,
    *,
    outside: Mask,
    clear: Mask,
    busy: Mask,
) -> Part:
    begin, end = span
    starts = np.array([first for first, _ in known if begin <= first < end], np.int64)
    after = _after(starts, said.flagged)
    found = after <= NEAR
    opened = said.opened[(said.opened >= begin) & (said.opened < end)]
    of_outside, of_clear = outside[begin:end], clear[begin:end]
    return Part(
        part=name,
        incidents=len(starts),
        found=float(found.mean()) if len(starts) else 0.0,
        alerts=len(opened),
        outside=scaled(int(outside[opened].sum()), int(of_outside.sum()), MILLION),
        clear_false=scaled(int(clear[opened].sum()), int(of_clear.sum()), MILLION),
        busy=float(busy[begin:end][of_outside].mean()) if of_outside.any() else 0.0,
        lines_to_detection=spread(after[found].astype(np.float64)),
    )


def _after(starts: Places, flagged: Places) -> Places:
    """Lines from each start to the next flag at it or behind it."""
    padded = np.append(flagged, np.iinfo(np.int64).max // 2)
    return padded[np.searchsorted(flagged, starts, side="left")] - starts


def _apart(size: int, known: Sequence[tuple[int, int]], distance: int) -> Mask:
    """Lines that are farther than this from every incident [E]."""
    change = np.zeros(size + 1, np.int64)
    for first, last in known:
        change[max(first - distance, 0)] += 1
        change[min(last + distance + 1, size)] -= 1
    return np.asarray(np.cumsum(change[:size]) == 0, bool)


def _before_flags(size: int, flagged: Places) -> Mask:
    """Lines that have a flag at them or within the next few: where an incident would be found by chance."""
    change = np.zeros(size + 1, np.int64)
    np.add.at(change, np.maximum(flagged - NEAR, 0), 1)
    np.add.at(change, np.minimum(flagged + 1, size), -1)
    return np.asarray(np.cumsum(change[:size]) > 0, bool)
