"""Plain text: the learnt header of a line, worked out once a shape and remembered. Pure.

Two lines of one shape have one header, so the memory of shapes is bounded and changes no output.
"""

import re
from datetime import UTC, tzinfo
from functools import lru_cache

import msgspec

from detector.stages.entry import level_name
from detector.stages.header import NOTHING, Cut, Headers
from detector.stages.shape import LONGEST_LINE, LONGEST_REMEMBERED, REMEMBERED, SHAPE
from detector.stages.timestamp import DAY_US, HALF_DAY_US, HALF_YEAR_US, PATTERNS, Clock

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
SECONDS_END = 19  # bytes that a date and the time of day take at least
_ZONED = frozenset({"iso", "slashes", "access"})
_ZONE = re.compile(rb" ?(?:Z|UTC|GMT|([+-])([01]\d|2[0-3]):?([0-5]\d))$")


class Heading(msgspec.Struct, frozen=True, gc=False):
    """What lines of one shape begin with."""

    kind: str  # of the time stamp; empty where there is none
    start: int  # of the time stamp
    end: int
    level: str
    found: bool  # the line has a header
    message: int  # where it starts; 0 where there is no header, or nothing behind it
    cut: Cut


_NONE = Heading("", 0, 0, "", False, 0, NOTHING)


class PlainReader:
    """Cuts headers and reads times; holds the shapes and seconds it has seen."""

    def __init__(self, headers: Headers, zone: tzinfo = UTC) -> None:
        """`zone` is that of the times that name none."""
        self._headers = headers
        self._shapes: dict[bytes, Heading] = {}
        self._clock = Clock(zone)
        self._utc = Clock(UTC)

    def heading(self, line: bytes) -> Heading:
        """The header of a line."""
        shape = line[:LONGEST_LINE].translate(SHAPE)
        return self._shapes.get(shape) or self._remember(shape)

    def time_us(self, heading: Heading, line: bytes, reference_us: int | None) -> int | None:
        """The time that the header says, near to the reference where it leaves out its year or date."""
        if not heading.kind:
            return None
        written = line[heading.start : heading.end]
        if heading.kind in _ZONED:
            return self._zoned(heading.kind, written, reference_us)
        return self._clock.read(heading.kind, written, reference_us)

    def not_after(self, latest_us: int, time_us: int, heading: Heading, line: bytes) -> int:
        """The line's time, a year or a day earlier where it left that out and would lie in the future."""
        slack_us, back_us = (MINUTE_US, HALF_DAY_US) if heading.kind == "time" else (DAY_US, HALF_YEAR_US)
        if time_us <= latest_us + slack_us:
            return time_us
        earlier_us = self.time_us(heading, line, latest_us - back_us)
        return time_us if earlier_us is None else earlier_us

    def stamp(self, text: str, reference_us: int | None) -> int | None:
        """The time written in a field, by the first kind of time stamp that it is."""
        written = text.strip().encode("utf-8", "replace")
        for kind in PATTERNS:
            read = self._zoned if kind in _ZONED else self._clock.read
            time_us = read(kind, written, reference_us)
            if time_us is not None:
                return time_us
        return None

    def _zoned(self, kind: str, written: bytes, reference_us: int | None) -> int | None:
        """The time of a kind that may end in a zone; without it the clock has a memory of the day."""
        zone = _ZONE.search(written, SECONDS_END)
        if zone is None:
            return self._clock.read(kind, written, reference_us)
        local_us = self._utc.read(kind, written[: zone.start()], reference_us)
        if local_us is None or zone[1] is None:
            return local_us
        offset_us = int(zone[2]) * HOUR_US + int(zone[3]) * MINUTE_US
        return local_us - offset_us if zone[1] == b"+" else local_us + offset_us

    def _remember(self, shape: bytes) -> Heading:
        heading = _heading(shape, self._headers.cut(shape))
        if len(shape) <= LONGEST_REMEMBERED:
            if len(self._shapes) >= REMEMBERED:
                self._shapes.clear()
            self._shapes[shape] = heading
        return heading


def _heading(shape: bytes, cut: Cut) -> Heading:
    if cut is NOTHING:
        return _NONE
    (start, end), level, message = cut.time, cut.level, cut.message
    name = _level(shape[level[0] : level[1]])
    return Heading(cut.kind, start, end, name, True, message if message < len(shape) else 0, cut)


@lru_cache(256)
def _level(written: bytes) -> str:
    return level_name(written.decode("latin-1"))
