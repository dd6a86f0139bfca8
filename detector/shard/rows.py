"""Scores as rows, the same in files and in topics. No I/O."""

from typing import Any

from detector.records import UNKNOWN, ClosedSource, ScoredEvent
from detector.stages.judge.alerts import rfc3339

EVENT_COLUMNS = (
    "source",
    "position",
    "time",
    "template_id",
    "known",
    "warm",
    "surprise_bits",
    "score",
    "threshold",
    "alert_id",
)
SOURCE_COLUMNS = (
    "source",
    "first_time",
    "last_time",
    "events",
    "unknown",
    "max_surprise_bits",
    "end_surprise_bits",
    "score",
    "threshold",
    "anomalous",
    "alert_ids",
    "cut_off",
)
DIGITS = 6


def event_row(event: ScoredEvent, template_id: str) -> list[Any]:
    """A row of EVENT_COLUMNS."""
    return [
        event.source,
        event.position,
        rfc3339(event.time_us),
        template_id or None,
        event.token != UNKNOWN,
        event.warm,
        round(event.surprise_bits, DIGITS),
        round(event.score, DIGITS),
        round(event.threshold, DIGITS),
        event.alert_id or None,
    ]


def source_row(closed: ClosedSource) -> list[Any]:
    """A row of SOURCE_COLUMNS."""
    end = closed.end_surprise_bits
    return [
        closed.source,
        rfc3339(closed.first_us),
        rfc3339(closed.last_us),
        closed.events,
        closed.unknown,
        round(closed.max_surprise_bits, DIGITS),
        None if end is None else round(end, DIGITS),
        round(closed.score, DIGITS),
        round(closed.threshold, DIGITS),
        closed.anomalous,
        closed.alert_ids,
        closed.cut_off,
    ]
