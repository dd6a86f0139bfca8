"""Alerts of services as who and when, held against injected faults or counted by run. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.stages.judge.budget import PER_SESSIONS
from training.benchmark.measures.sessions import scaled
from training.benchmark.table.results import FaultPoint, RunPoint

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert: what it is of, and how strong it was."""

    at_s: float
    source: str
    strength: float  # score as a share of its threshold
    rule: str = ""  # of the product's alerts


@dataclass(frozen=True, slots=True)
class Fault:
    """What was broken, and from when on."""

    at_s: float
    source: str
    type: str


@dataclass(frozen=True, slots=True)
class Log:
    """What the faults were injected in."""

    begin_s: float
    end_s: float
    times_s: npt.NDArray[np.float64]  # of its lines, ascending


@dataclass(frozen=True, slots=True)
class _Found:
    fault: Fault
    notices: list[Notice]  # within the fault's window, in the order of time

    @property
    def right(self) -> list[Notice]:
        return [one for one in self.notices if self.fault.source in one.source]


def fault_point(
    budget: float | None, faults: Sequence[Fault], notices: Sequence[Notice], log: Log, window_s: float
) -> FaultPoint:
    """Hold the alerts of one budget against the faults that the log holds."""
    held = [fault for fault in faults if log.begin_s <= fault.at_s < log.end_s]
    ordered = sorted(notices, key=lambda notice: notice.at_s)
    found = [_Found(fault, _within(fault, ordered, window_s)) for fault in held]
    explained = {id(notice) for one in found for notice in one.notices}
    false = sum(id(notice) not in explained for notice in ordered)
    clear_s = _clear_s(held, log, window_s)
    delays = [one.right[0].at_s - one.fault.at_s for one in found if one.right]
    lines = [_lines(log, one.fault.at_s, one.right[0].at_s) for one in found if one.right]
    hours = (log.end_s - log.begin_s) / HOUR_S
    return FaultPoint(
        budget=budget,
        faults=len(held),
        found=sum(bool(one.notices) for one in found),
        named=len(delays),
        named_first=sum(bool(one.right) and one.notices[0] is one.right[0] for one in found),
        named_strongest=sum(_strongest_is_right(one) for one in found),
        by_type={kind: _counts(found, kind) for kind in sorted({fault.type for fault in held})},
        alerts=len(ordered),
        alerts_per_hour=len(ordered) / hours if hours > 0 else 0.0,
        false=false,
        by_rule={
            rule: (
                sum(one.rule == rule for one in ordered),
                sum(one.rule == rule and id(one) not in explained for one in ordered),
            )
            for rule in sorted({one.rule for one in ordered if one.rule})
        },
        false_per_hour=scaled(min(false, round(clear_s)), round(clear_s), HOUR_S),
        hours=hours,
        seconds_to_detection=float(np.median(delays)) if delays else None,
        lines_to_detection=float(np.median(lines)) if lines else None,
    )


def _within(fault: Fault, ordered: Sequence[Notice], window_s: float) -> list[Notice]:
    return [notice for notice in ordered if 0 <= notice.at_s - fault.at_s < window_s]


def _strongest_is_right(found: _Found) -> bool:
    if not found.notices:
        return False
    return found.fault.source in max(found.notices, key=lambda notice: notice.strength).source


def _counts(found: Sequence[_Found], kind: str) -> tuple[int, int, int]:
    same = [one for one in found if one.fault.type == kind]
    return len(same), sum(bool(one.notices) for one in same), sum(bool(one.right) for one in same)


def _clear_s(faults: Sequence[Fault], log: Log, window_s: float) -> float:
    """Seconds of the log that are in no fault's window."""
    taken, until = 0.0, log.begin_s
    for fault in sorted(faults, key=lambda fault: fault.at_s):
        begin, end = max(fault.at_s, until), min(fault.at_s + window_s, log.end_s)
        taken += max(0.0, end - begin)
        until = max(until, end)
    return max(log.end_s - log.begin_s - taken, 1.0)


def _lines(log: Log, begin_s: float, end_s: float) -> float:
    """Lines of the whole log from one time to another."""
    first, last = np.searchsorted(log.times_s, [begin_s, end_s], side="right")
    return float(last - first)


def run_point(
    budget: float | None,
    alerts: Mapping[str, int],
    lines: Mapping[str, int],
    is_faulty: Callable[[str], bool],
) -> RunPoint:
    """Alerts a line of normal runs against those of faulty ones."""
    rates = {run: alerts[run] / max(lines[run], 1) for run in alerts}
    normal, faulty = ([run for run in alerts if is_faulty(run) is kind] for kind in (False, True))

    def together(runs: Sequence[str]) -> tuple[int, int]:
        return sum(alerts[run] for run in runs), sum(lines[run] for run in runs)

    return RunPoint(
        budget=budget,
        alerts=dict(alerts),
        normal_per_10000=scaled(*together(normal), PER_SESSIONS),
        faulty_per_10000=scaled(*together(faulty), PER_SESSIONS),
        separated=min((rates[run] for run in faulty), default=0.0)
        > max((rates[run] for run in normal), default=0.0),
    )
