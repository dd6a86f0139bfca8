"""Read the time stamps that logs carry, as microseconds since 1970 in UTC. No I/O.

A kind names a pattern. Patterns look at digits only as digits, never at their values, so that
a line's header depends on the line's shape alone (see shape.py).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

MONTHS: Final = (
    b"jan",
    b"feb",
    b"mar",
    b"apr",
    b"may",
    b"jun",
    b"jul",
    b"aug",
    b"sep",
    b"oct",
    b"nov",
    b"dec",
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
# Half of what a stamp without a year, or without a date, repeats after (half a year rounded down).
HALF_YEAR_US: Final = 180 * DAY_US
HALF_DAY_US: Final = DAY_US // 2
REMEMBERED: Final = 8192  # seconds kept per kind before the memory starts anew

_MONTH = rb"(?P<name>(?:[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]ay|[Jj]un|[Jj]ul|[Aa]ug|[Ss]ep|[Oo]ct|[Nn]ov|[Dd]ec))"
_WEEKDAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = rb"(?P<h>\d\d):(?P<mi>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?"
_ZONE = rb"(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d)"
_YEAR, _MO, _D = rb"(?P<y>\d{4})", rb"(?P<mo>\d\d)", rb"(?P<d>\d\d)"

# In the order they are tried: a pattern comes before those that match a part of it.
PATTERNS: Final[Mapping[str, bytes]] = {
    "iso": _YEAR + b"-" + _MO + b"-" + _D + b"[T _]" + _CLOCK + b"(?: ?" + _ZONE + b")?",
    "iso-dots": _YEAR
    + b"-"
    + _MO
    + b"-"
    + _D
    + rb"-(?P<h>\d\d)\.(?P<mi>\d\d)\.(?P<s>\d\d)(?:\.(?P<f>\d{1,9}))?",
    "slashes": _YEAR + b"/" + _MO + b"/" + _D + b"[T :-]" + _CLOCK + b"(?: ?" + _ZONE + b")?",
    "slashes-short": rb"(?P<y>\d\d)/" + _MO + b"/" + _D + b" " + _CLOCK,
    "month-first": _MO + b"/" + _D + b"/" + _YEAR + b",? " + _CLOCK + b"(?: ?(?P<half>[AP]M))?",
    "day-dots": _D + rb"\." + _MO + rb"\." + _YEAR + b" " + _CLOCK,
    "access": _D + b"/" + _MONTH + b"/" + _YEAR + b":" + _CLOCK + b"(?: " + _ZONE + b")?",
    "day-name": _D + b"-" + _MONTH + b"-" + _YEAR + b" " + _CLOCK,
    "mail": b"(?:"
    + _WEEKDAY
    + rb", )?(?P<d>\d{1,2}) "
    + _MONTH
    + b" "
    + _YEAR
    + b" "
    + _CLOCK
    + b"(?: "
    + _ZONE
    + b")?",
    "asctime": _WEEKDAY + b" " + _MONTH + rb" +(?P<d>\d{1,2}) " + _CLOCK + b"(?: " + _ZONE + b")? " + _YEAR,
    "syslog": _MONTH + rb" +(?P<d>\d{1,2})(?: (?P<y>\d{4}))? " + _CLOCK,
    "compact": _YEAR
    + _MO
    + _D
    + rb"[T -]?(?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?"
    + _ZONE
    + b"?",
    "compact-short": rb"(?P<y>\d\d)" + _MO + _D + rb" (?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)",
    "colons": _YEAR + _MO + _D + rb"-(?P<h>\d{1,2}):(?P<mi>\d{1,2}):(?P<s>\d{1,2}):(?P<ms>\d{1,3})",
    "klog": rb"[IWEF]" + _MO + _D + b" " + _CLOCK,
    "month-day": _MO + b"-" + _D + b" " + _CLOCK,
    "month-dot": _MO + rb"\." + _D + b" " + _CLOCK,
    "epoch": rb"(?P<epoch>\d{10})(?:\.(?P<f>\d{1,9}))?",
    "epoch-ms": rb"(?P<epoch>\d{10})(?P<f>\d{3})",
    "epoch-us": rb"(?P<epoch>\d{10})(?P<f>\d{6})",
    "time": _CLOCK,
    "date": _YEAR + b"[-./]" + _MO + b"[-./]" + _D,
}
_READERS = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}
_FRACTIONS = frozenset(
    kind for kind, pattern in PATTERNS.items() if b"<f>" in pattern and kind[:6] != "epoch-"
)


def parse_time(kind: str, text: bytes, reference_us: int | None = None, zone: tzinfo = UTC) -> int | None:
    """Read a time stamp; a missing year or date is the one that brings it closest to the reference.

    `zone` holds for stamps that name none. None where the text is no such time.
    """
    head, fraction_us = _cut_fraction(kind, text)
    whole_us = _parse_whole(kind, head, reference_us, zone)
    return None if whole_us is None else whole_us + fraction_us


class Clock:
    """`parse_time` with a bounded memory of the seconds it has read."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        """`zone` holds for stamps that name none."""
        self._zone = zone
        self._seen: dict[str, dict[bytes, int | None]] = {kind: {} for kind in PATTERNS}

    def read(self, kind: str, text: bytes, reference_us: int | None = None) -> int | None:
        """What `parse_time` says."""
        head, fraction_us = _cut_fraction(kind, text)
        seen = self._seen[kind]
        whole_us = seen.get(head)
        if whole_us is None or not _still_closest(kind, whole_us, reference_us):
            whole_us = _parse_whole(kind, head, reference_us, self._zone)
            if whole_us is None:
                return None
            if len(seen) >= REMEMBERED:
                seen.clear()
            seen[head] = whole_us
        return whole_us + fraction_us


_PERIODS: Final = {
    "time": HALF_DAY_US,
    "syslog": HALF_YEAR_US,
    "klog": HALF_YEAR_US,
    "month-day": HALF_YEAR_US,
    "month-dot": HALF_YEAR_US,
}


def _still_closest(kind: str, whole_us: int, reference_us: int | None) -> bool:
    """Whether a remembered reading holds for this reference: no other candidate can be as close."""
    half_us = _PERIODS.get(kind)
    if half_us is None:
        return True
    return reference_us is not None and -half_us < whole_us - reference_us < half_us


def _cut_fraction(kind: str, text: bytes) -> tuple[bytes, int]:
    """Part the seconds, which repeat and are remembered, from their fraction in microseconds."""
    if kind not in _FRACTIONS:
        return text, 0
    at = text.rfind(b".")
    if at < 0:
        at = text.rfind(b",")
        if at < 0:
            return text, 0
    digits = text[at + 1 :]
    head = text[:at]
    if digits[-1:] == b"Z":
        digits = digits[:-1]
        head += b"Z"
    if not digits.isdigit() or len(head) < len(b"00:00:00"):
        return text, 0
    return head, _fraction_us(digits)


def _fraction_us(digits: bytes) -> int:
    return int(digits.ljust(6, b"0")[:6])


def _parse_whole(kind: str, text: bytes, reference_us: int | None, zone: tzinfo) -> int | None:
    found = _READERS[kind].fullmatch(text)
    if found is None:
        return None
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    if "epoch" in parts:
        return int(parts["epoch"]) * SECOND_US + _fraction_us(parts.get("f", b"0"))
    try:
        return _resolve(parts, reference_us, _zone(parts.get("z"), zone))
    except (ValueError, OverflowError):
        return None


def _resolve(parts: dict[str, bytes], reference_us: int | None, zone: tzinfo) -> int:
    """Fill what the stamp leaves out from the reference (its day, or its year)."""
    clock_us = _clock_us(parts)
    if "y" in parts:
        return _instant_us(_year(parts["y"]), parts, clock_us, zone)
    near = EPOCH if reference_us is None else EPOCH + timedelta(microseconds=reference_us)
    near = near.astimezone(zone)
    if "d" in parts:
        candidates = _same_day_of_years(near.year, parts, clock_us, zone)
    else:
        days = (near + timedelta(days=shift) for shift in (0, -1, 1))
        candidates = [_midnight_us(day.year, day.month, day.day, clock_us, zone) for day in days]
    if reference_us is None:
        return candidates[0]
    return min(candidates, key=lambda candidate_us: abs(candidate_us - reference_us))


def _same_day_of_years(year: int, parts: dict[str, bytes], clock_us: int, zone: tzinfo) -> list[int]:
    """The day in the years around one; 29 February exists only in some of them."""
    found = []
    for candidate in (year, year - 1, year + 1, year + 2, year - 2, year - 3):
        try:
            found.append(_instant_us(candidate, parts, clock_us, zone))
        except ValueError:
            continue
    if not found:
        raise ValueError("no such day")
    return found


def _instant_us(year: int, parts: dict[str, bytes], clock_us: int, zone: tzinfo) -> int:
    month = MONTHS.index(parts["name"].lower()) + 1 if "name" in parts else int(parts["mo"])
    return _midnight_us(year, month, int(parts["d"]), clock_us, zone)


def _midnight_us(year: int, month: int, day: int, clock_us: int, zone: tzinfo) -> int:
    """The wall clock of a zone as an instant; the zone's rules decide where it is read twice."""
    wall = datetime(year, month, day, tzinfo=zone) + timedelta(microseconds=clock_us)
    return (wall - EPOCH) // timedelta(microseconds=1)


def _clock_us(parts: dict[str, bytes]) -> int:
    if "h" not in parts:
        return 0
    hour, minute, second = int(parts["h"]), int(parts["mi"]), int(parts["s"])
    if "half" in parts:
        hour = hour % 12 + (12 if parts["half"] == b"PM" else 0)
    if hour > 23 or minute > 59 or second > 60:  # noqa: PLR2004  a leap second is 60
        raise ValueError("no such time of day")
    fraction_us = int(parts["ms"]) * 1000 if "ms" in parts else _fraction_us(parts.get("f", b"0"))
    return ((hour * 60 + minute) * 60 + second) * SECOND_US + fraction_us


def _year(digits: bytes) -> int:
    """Two digits mean 1970 to 2069, as POSIX reads them (69 apart)."""
    year = int(digits)
    if len(digits) > 2:  # noqa: PLR2004
        return year
    return year + (2000 if year < 70 else 1900)  # noqa: PLR2004


def _zone(text: bytes | None, default: tzinfo) -> tzinfo:
    if text is None:
        return default
    if text in {b"Z", b"UTC", b"GMT"}:
        return UTC
    sign = -1 if text[:1] == b"-" else 1
    digits = text[1:].replace(b":", b"")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(sign * offset)
