"""Read time stamps fast: a day, a time of day and a fraction are worth the same in every stamp. No I/O."""

import re
from collections.abc import Mapping
from datetime import UTC, timezone, tzinfo
from typing import Final, NamedTuple

from detector.stages.header.instant import SECOND_US, fraction_us
from detector.stages.header.timeforms import PATTERNS, parse_time

__all__ = ["PATTERNS", "Clock", "parse_time"]

DAY_US: Final = 86_400 * SECOND_US
# How far from the reference a stamp without a date, or without a year, is still the closest candidate.
HALF_DAY_US: Final = DAY_US // 2
HALF_YEAR_US: Final = 180 * DAY_US
# So long before an instant, the closest candidate without a year is the last one that is not after it.
PAST_US: Final = 183 * DAY_US
EPOCH_DIGITS: Final = 10
REMEMBERED: Final = 8192  # days, and tails, kept per kind before the memory starts anew


class _Times(NamedTuple):
    """What hours with minutes, and seconds, are worth in microseconds."""

    minutes: Mapping[bytes, int]
    seconds: Mapping[bytes, int]


def _times(mark: bytes) -> _Times:
    minutes = {b"%02d%b%02d" % (at // 60, mark, at % 60): at * 60 * SECOND_US for at in range(24 * 60)}
    return _Times(minutes, {b"%b%02d" % (mark, at): at * SECOND_US for at in range(60)})


def _padded(times: _Times) -> _Times:
    """The same with ` 7:05` for `07:05`; only a kind whose pattern allows that may have it."""
    padded = {b" " + text[1:]: us for text, us in times.minutes.items() if text[:1] == b"0"}
    return _Times({**times.minutes, **padded}, times.seconds)


class _Plan(NamedTuple):
    """Where a stamp's time of day lies: text[start:middle] and text[middle:end]; its tail follows."""

    start: int
    middle: int
    end: int
    times: _Times
    half_us: int | None = None  # see HALF_DAY_US; None where the stamp says all


_FRACTION = re.compile(rb"[.,]\d{1,9}")
_END = 99  # of every stamp that ends with its seconds
_COLON, _DOT, _NONE = map(_times, (b":", b".", b""))
_PLANS: Final[Mapping[str, _Plan]] = {
    "iso": _Plan(11, 16, 19, _padded(_COLON)),
    "iso-dots": _Plan(11, 16, 19, _DOT),
    "slashes": _Plan(11, 16, 19, _COLON),
    "slashes-short": _Plan(9, 14, 17, _COLON),
    "day-dots": _Plan(11, 16, 19, _COLON),
    "access": _Plan(12, 17, 20, _COLON),
    "day-name": _Plan(12, 17, 20, _COLON),
    "asctime": _Plan(-8, -3, _END, _COLON),
    "compact-short": _Plan(7, 11, 13, _NONE),
    "syslog": _Plan(-8, -3, _END, _COLON, HALF_YEAR_US),
    "klog": _Plan(6, 11, 14, _COLON, HALF_YEAR_US),
    "glog": _Plan(10, 15, 18, _COLON),
    "month-day": _Plan(6, 11, 14, _COLON, HALF_YEAR_US),
    "month-dot": _Plan(6, 11, 14, _COLON, HALF_YEAR_US),
    "time": _Plan(0, 5, 8, _COLON, HALF_DAY_US),
}


class Clock:
    """`parse_time` with a bounded memory of the days it has read."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        """`zone` holds for stamps that name none."""
        self._zone = zone
        # A day has the same length everywhere only where the zone never changes its offset.
        self._plans = _PLANS if isinstance(zone, timezone) else {}
        self._days: dict[str, dict[bytes, int]] = {kind: {} for kind in self._plans}
        self._tails: dict[str, dict[bytes, int]] = {kind: {b"": 0} for kind in self._plans}

    def read(self, kind: str, text: bytes, reference_us: int | None = None) -> int | None:
        """What `parse_time` says."""
        plan = self._plans.get(kind)
        if plan is None:
            if kind == "epoch" and len(text) == EPOCH_DIGITS and text.isdigit():
                return int(text) * SECOND_US
            return parse_time(kind, text, reference_us, self._zone)
        start, middle, end, (minutes, seconds), half_us = plan
        stamp = _year_first(text) if kind == "asctime" else text
        tail_us = self._tails[kind].get(stamp[end:])
        if tail_us is None:
            tail_us = self._remember_tail(kind, stamp, reference_us)
            if tail_us is None:
                return parse_time(kind, text, reference_us, self._zone)
        try:
            clock_us = minutes[stamp[start:middle]] + seconds[stamp[middle:end]] + tail_us
            time_us = self._days[kind][stamp[:start]] + clock_us
        except KeyError:
            return self._remember_day(kind, text, tail_us, reference_us)
        if half_us is None or (reference_us is not None and -half_us < time_us - reference_us < half_us):
            return time_us
        return self._remember_day(kind, text, tail_us, reference_us)

    def _remember_day(self, kind: str, text: bytes, tail_us: int, reference_us: int | None) -> int | None:
        """Read without the memory, and keep what the day is worth."""
        time_us = parse_time(kind, text, reference_us, self._zone)
        plan, days = self._plans[kind], self._days[kind]
        stamp = _year_first(text) if kind == "asctime" else text
        minutes_us = plan.times.minutes.get(stamp[plan.start : plan.middle])
        seconds_us = plan.times.seconds.get(stamp[plan.middle : plan.end])
        if time_us is not None and minutes_us is not None and seconds_us is not None:
            if len(days) >= REMEMBERED:
                days.clear()
            days[stamp[: plan.start]] = time_us - minutes_us - seconds_us - tail_us
        return time_us

    def _remember_tail(self, kind: str, stamp: bytes, reference_us: int | None) -> int | None:
        """What stands behind the seconds: a fraction, a zone that moves all days alike, or both."""
        end, tails = self._plans[kind].end, self._tails[kind]
        fraction = _FRACTION.match(stamp, end)
        zone = stamp[fraction.end() :] if fraction else stamp[end:]
        tail_us = tails.get(zone)
        if tail_us is None:
            tail_us = self._zone_us(kind, stamp[:end], zone, reference_us)
            if tail_us is None:
                return None
        if fraction:
            tail_us += fraction_us(fraction[0][1:])
        if len(tails) >= REMEMBERED:
            tails.clear()
            tails[b""] = 0
        tails[stamp[end:]] = tail_us
        return tail_us

    def _zone_us(self, kind: str, seconds: bytes, zone: bytes, reference_us: int | None) -> int | None:
        """By how much a zone moves a stamp; None where this kind has no such zone."""
        with_zone = parse_time(kind, seconds + zone, reference_us, self._zone)
        without = parse_time(kind, seconds, reference_us, self._zone)
        if with_zone is None or without is None or _FRACTION.match(zone):
            return None
        return with_zone - without


def _year_first(text: bytes) -> bytes:
    """`Sun Dec 04 04:47:44 2005` with its day in one piece before the time."""
    return text[:11] + text[19:] + text[10:19]
