"""Turn the parts of a time stamp into microseconds since 1970 in UTC. No I/O, no clock.

A year or a date that the stamp leaves out is taken so that the instant is closest to a reference.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

MONTHS: Final = b"jan feb mar apr may jun jul aug sep oct nov dec".split()
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US: Final = 1_000_000

Parts = Mapping[str, bytes]  # y mo name d h half mi s f ms z, or epoch f


def instant_us(parts: Parts, reference_us: int | None, zone: tzinfo) -> int:
    """The instant; `zone` holds where the parts name none.

    Raises ValueError or OverflowError where there is no such time.
    """
    if "epoch" in parts:
        return int(parts["epoch"]) * SECOND_US + fraction_us(parts.get("f", b"0"))
    return _resolve(parts, reference_us, _zone(parts.get("z"), zone))


def fraction_us(digits: bytes) -> int:
    """The digits behind the seconds, in microseconds."""
    return int(digits.ljust(6, b"0")[:6])


def _resolve(parts: Parts, reference_us: int | None, zone: tzinfo) -> int:
    """Fill what the stamp leaves out from the reference (its day, or its year)."""
    clock_us = _clock_us(parts)
    if "y" in parts:
        return _on_day_us(_year(parts["y"]), parts, clock_us, zone)
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


def _same_day_of_years(year: int, parts: Parts, clock_us: int, zone: tzinfo) -> list[int]:
    """The day in the years around one; 29 February exists only in some of them."""
    found = []
    for candidate in (year, year - 1, year + 1, year + 2, year - 2, year - 3):
        try:
            found.append(_on_day_us(candidate, parts, clock_us, zone))
        except ValueError:
            continue
    if not found:
        raise ValueError("no such day")
    return found


def _on_day_us(year: int, parts: Parts, clock_us: int, zone: tzinfo) -> int:
    month = MONTHS.index(parts["name"].lower()) + 1 if "name" in parts else int(parts["mo"])
    return _midnight_us(year, month, int(parts["d"]), clock_us, zone)


def _midnight_us(year: int, month: int, day: int, clock_us: int, zone: tzinfo) -> int:
    """The wall clock of a zone as an instant; the zone's rules decide where it is read twice."""
    wall = datetime(year, month, day, tzinfo=zone) + timedelta(microseconds=clock_us)
    return (wall - EPOCH) // timedelta(microseconds=1)


def _clock_us(parts: Parts) -> int:
    if "h" not in parts:
        return 0
    hour, minute, second = int(parts["h"]), int(parts["mi"]), int(parts["s"])
    if "half" in parts:
        hour = hour % 12 + (12 if parts["half"] == b"PM" else 0)
    if hour > 23 or minute > 59 or second > 60:  # noqa: PLR2004  a leap second is 60
        raise ValueError("no such time of day")
    below_us = int(parts["ms"]) * 1000 if "ms" in parts else fraction_us(parts.get("f", b"0"))
    return ((hour * 60 + minute) * 60 + second) * SECOND_US + below_us


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
