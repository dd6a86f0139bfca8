"""Read the time stamps that logs carry, as microseconds since 1970 in UTC. No I/O.

A kind names a pattern. Patterns look at digits only as digits, never at their values, so that
a line's header depends on the line's shape alone (see shape.py).
"""

import re
from collections.abc import Mapping
from datetime import UTC, timezone, tzinfo
from typing import Final, NamedTuple

from detector.stages.instant import SECOND_US, fraction_us, instant_us

DAY_US: Final = 86_400 * SECOND_US
# Half of what a stamp without a year, or without a date, repeats after (half a year rounded down).
HALF_YEAR_US: Final = 180 * DAY_US
HALF_DAY_US: Final = DAY_US // 2
EPOCH_DIGITS: Final = 10
REMEMBERED: Final = 8192  # days, and fractions, kept per kind before the memory starts anew

_FIELDS: Final[Mapping[str, str]] = {
    "year": r"(?P<y>\d{4})",
    "yy": r"(?P<y>\d\d)",
    "month": r"(?P<mo>\d\d)",
    "name": "(?P<name>[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]ay|[Jj]un|[Jj]ul|[Aa]ug|[Ss]ep|[Oo]ct|[Nn]ov|[Dd]ec)",
    "weekday": "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
    "day": r"(?P<d>\d\d)",
    "d": r"(?P<d>\d{1,2})",
    "time": r"(?P<h>\d\d):(?P<mi>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?",
    "hhmmss": r"(?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)",
    "fraction": r"(?:[.,](?P<f>\d{1,9}))?",
    "zone": r"(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d)",
    "half": "(?P<half>[AP]M)",
}
# In the order they are tried: a pattern comes before those that match a part of it.
_FORMS: Final[Mapping[str, str]] = {
    "iso": "<year>-<month>-<day>[T _]<time>(?: ?<zone>)?",
    "iso-dots": r"<year>-<month>-<day>-(?P<h>\d\d)\.(?P<mi>\d\d)\.(?P<s>\d\d)<fraction>",
    "slashes": "<year>/<month>/<day>[T :-]<time>(?: ?<zone>)?",
    "slashes-short": "<yy>/<month>/<day> <time>",
    "month-first": "<month>/<day>/<year>,? <time>(?: ?<half>)?",
    "day-dots": r"<day>\.<month>\.<year> <time>",
    "access": "<day>/<name>/<year>:<time>(?: <zone>)?",
    "day-name": "<day>-<name>-<year> <time>",
    "mail": "(?:<weekday>, )?<d> <name> <year> <time>(?: <zone>)?",
    "asctime": "<weekday> <name> +<d> <time>(?: <zone>)? <year>",
    "syslog": "<name> +<d>(?: <year>)? <time>",
    "compact": "<year><month><day>[T -]?<hhmmss><fraction><zone>?",
    "compact-short": "<yy><month><day> <hhmmss><fraction>",
    "colons": r"<year><month><day>-(?P<h>\d{1,2}):(?P<mi>\d{1,2}):(?P<s>\d{1,2})(?::(?P<ms>\d{1,3}))?",
    "klog": "[IWEF]<month><day> <time>",
    "month-day": "<month>-<day> <time>",
    "month-dot": r"<month>\.<day> <time>",
    "epoch": r"(?P<epoch>\d{10})(?:\.(?P<f>\d{1,9}))?",
    "epoch-ms": r"(?P<epoch>\d{10})(?P<f>\d{3})?",
    "epoch-us": r"(?P<epoch>\d{10})(?P<f>\d{6})?",
    "time": "<time>",
    "date": "<year>[-./]<month>[-./]<day>",
}
PATTERNS: Final[Mapping[str, bytes]] = {
    kind: re.sub(r"(?<!P)<(\w+)>", lambda found: _FIELDS[found[1]], form).encode()
    for kind, form in _FORMS.items()
}
_READERS = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}


def parse_time(kind: str, text: bytes, reference_us: int | None = None, zone: tzinfo = UTC) -> int | None:
    """Read a time stamp; a missing year or date is the one that brings it closest to the reference.

    `zone` holds for stamps that name none. None where the text is no such time. `Clock` reads
    the same, faster.
    """
    found = _READERS[kind].fullmatch(text)
    if found is None:
        return None
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    try:
        return instant_us(parts, reference_us, zone)
    except (ValueError, OverflowError):
        return None


Table = Mapping[bytes, int]


def _times_of_day(separator: bytes) -> tuple[Table, Table]:
    """What hours with minutes, and seconds, are worth in microseconds."""
    minutes = {b"%02d%b%02d" % (at // 60, separator, at % 60): at * 60 * SECOND_US for at in range(24 * 60)}
    return minutes, {b"%b%02d" % (separator, at): at * SECOND_US for at in range(60)}


class _Plan(NamedTuple):
    """Where a stamp's time of day lies: text[start:middle] and text[middle:end]."""

    start: int
    middle: int
    end: int
    tables: tuple[Table, Table]


_FRACTION = re.compile(rb"[.,]\d{1,9}")
_END = 99  # of every stamp that ends with its seconds
_COLON, _DOT, _NONE = map(_times_of_day, (b":", b".", b""))
_PLANS: Final[Mapping[str, _Plan]] = {
    "iso": _Plan(11, 16, 19, _COLON),
    "iso-dots": _Plan(11, 16, 19, _DOT),
    "slashes": _Plan(11, 16, 19, _COLON),
    "slashes-short": _Plan(9, 14, 17, _COLON),
    "day-dots": _Plan(11, 16, 19, _COLON),
    "access": _Plan(12, 17, 20, _COLON),
    "day-name": _Plan(12, 17, 20, _COLON),
    "asctime": _Plan(-8, -3, _END, _COLON),
    "syslog": _Plan(-8, -3, _END, _COLON),
    "compact-short": _Plan(7, 11, 13, _NONE),
    "klog": _Plan(6, 11, 14, _COLON),
    "month-day": _Plan(6, 11, 14, _COLON),
    "month-dot": _Plan(6, 11, 14, _COLON),
    "time": _Plan(0, 5, 8, _COLON),
}
# How far from the reference a stamp of these kinds can be and still be the closest candidate.
_CLOSEST: Final[Mapping[str, int]] = {
    "time": HALF_DAY_US,
    "syslog": HALF_YEAR_US,
    "klog": HALF_YEAR_US,
    "month-day": HALF_YEAR_US,
    "month-dot": HALF_YEAR_US,
}


class Clock:
    """`parse_time` with a bounded memory of the days it has read."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        """`zone` holds for stamps that name none."""
        self._zone = zone
        # A day has the same length everywhere only where the zone never changes its offset.
        self._plans = _PLANS if isinstance(zone, timezone) else {}
        self._days: dict[str, dict[bytes, int]] = {kind: {} for kind in PATTERNS}
        self._fractions: dict[bytes, int] = {b"": 0}

    def read(self, kind: str, text: bytes, reference_us: int | None = None) -> int | None:
        """What `parse_time` says."""
        plan = self._plans.get(kind)
        if plan is None:
            if kind == "epoch" and len(text) == EPOCH_DIGITS and text.isdigit():
                return int(text) * SECOND_US
            return parse_time(kind, text, reference_us, self._zone)
        start, middle, end, (minutes, seconds) = plan
        ordered = _year_before_time(text) if kind == "asctime" else text
        try:
            time_us = (
                self._days[kind][ordered[:start]]
                + minutes[ordered[start:middle]]
                + seconds[ordered[middle:end]]
            )
            time_us += self._fractions[ordered[end:]]
        except KeyError:
            return self._remember(kind, text, reference_us)
        half_us = _CLOSEST.get(kind)
        if half_us is None or (reference_us is not None and -half_us < time_us - reference_us < half_us):
            return time_us
        return self._remember(kind, text, reference_us)

    def _remember(self, kind: str, text: bytes, reference_us: int | None) -> int | None:
        """Keep what the fraction is worth, else read without the memory and keep what the day is worth."""
        start, middle, end, (minutes, seconds) = self._plans[kind]
        ordered = _year_before_time(text) if kind == "asctime" else text
        day, fraction = ordered[:start], ordered[end:]
        if fraction not in self._fractions and _FRACTION.fullmatch(fraction):
            if len(self._fractions) >= REMEMBERED:
                self._fractions = {b"": 0}
            self._fractions[fraction] = fraction_us(fraction[1:])
            return self.read(kind, text, reference_us)
        time_us = parse_time(kind, text, reference_us, self._zone)
        first, last = minutes.get(ordered[start:middle]), seconds.get(ordered[middle:end])
        if time_us is not None and first is not None and last is not None and fraction in self._fractions:
            days = self._days[kind]
            if len(days) >= REMEMBERED:
                days.clear()
            days[day] = time_us - first - last - self._fractions[fraction]
        return time_us


def _year_before_time(text: bytes) -> bytes:
    """`Sun Dec 04 04:47:44 2005` with its day in one piece."""
    return text[:11] + text[19:] + text[10:19]
