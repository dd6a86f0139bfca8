"""Decides what a receiver's answer means and when the next attempt is due. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum

from detector.notify.receivers import Schedule

_LONGEST_PAUSE_S = 24 * 3600.0
_GONE = 410
_SLOW_DOWN = frozenset({429, 502, 504})


class Outcome(Enum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SLOW_DOWN = "slow-down"  # the receiver wants fewer messages, not only this one later
    GONE = "gone"  # the receiver wants no message any more


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one attempt, with what to tell people about it."""

    outcome: Outcome
    error: str = ""
    retry_after_s: float | None = None


def judge(status: int, retry_after: str | None, *, now_s: float) -> Answer:
    """Read an HTTP status and its Retry-After header."""
    if 200 <= status < 300:  # noqa: PLR2004  # the class of success
        return Answer(Outcome.DELIVERED)
    error = f"answered {status}"
    if status == _GONE:
        return Answer(Outcome.GONE, error)
    pause_s = _pause_s(retry_after, now_s)
    if status in _SLOW_DOWN or pause_s is not None:
        return Answer(Outcome.SLOW_DOWN, error, pause_s)
    return Answer(Outcome.FAILED, error)


def next_attempt_s(
    schedule: Schedule, attempts: int, *, now_s: float, random: Callable[[], float]
) -> float | None:
    """Say when to try again after so many failed attempts; None when it is time to give up."""
    if attempts >= len(schedule.delays_s) and not schedule.endless:
        return None
    delay_s = schedule.delays_s[min(attempts, len(schedule.delays_s) - 1)]
    return now_s + delay_s * (1 + schedule.jitter * random())


def _pause_s(retry_after: str | None, now_s: float) -> float | None:
    """Read seconds or an HTTP date; what is neither is no reason to wait."""
    if retry_after is None:
        return None
    try:
        pause_s = float(retry_after) if retry_after.isdecimal() else _until_s(retry_after) - now_s
    except (ValueError, OverflowError):
        return None
    return min(max(pause_s, 0.0), _LONGEST_PAUSE_S)


def _until_s(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()
