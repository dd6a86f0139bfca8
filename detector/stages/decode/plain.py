"""Plain text: the learnt header of a line, worked out once a shape and remembered. Pure.

Two lines of one shape have one header, so the memory of shapes is bounded and changes no output.
"""

from functools import lru_cache

import msgspec

from detector.stages.decode.entry import level_name
from detector.stages.decode.stamps import MINUTE_US, Stamps
from detector.stages.header.header import NOTHING, Cut, Headers
from detector.stages.header.shape import LONGEST_LINE, LONGEST_REMEMBERED, REMEMBERED, SHAPE
from detector.stages.header.timestamp import DAY_US, HALF_DAY_US, PAST_US


class Heading(msgspec.Struct, frozen=True, gc=False):
    """What lines of one shape begin with."""

    kind: str  # of the time stamp; empty where there is none
    start: int  # of the time stamp
    end: int
    level: str
    found: bool  # the line has a header
    message: int  # where it starts; 0 where there is no header, or nothing behind it


_NONE = Heading("", 0, 0, "", False, 0)


class PlainReader:
    """Cuts headers and reads times; holds the shapes it has seen."""

    def __init__(self, headers: Headers, stamps: Stamps) -> None:
        """Cut with the headers, read their times with `stamps`."""
        self._headers = headers
        self._shapes: dict[bytes, Heading] = {}
        self._stamps = stamps

    def heading(self, line: bytes) -> Heading:
        """The header of a line."""
        shape = line[:LONGEST_LINE].translate(SHAPE)
        return self._shapes.get(shape) or self._remember(shape)

    def named(self, line: bytes, names: tuple[str, ...]) -> list[str]:
        """What a header has of the fields `host` and `tag`, in the order of the names."""
        cut = self._headers.split(line)
        spans = {"host": cut.host, "tag": cut.tag}
        parts = [spans.get(name, (0, 0)) for name in names]
        return [line[start:end].decode("utf-8", "replace") for start, end in parts]

    def time_us(self, heading: Heading, line: bytes, reference_us: int | None) -> int | None:
        """The time that the header says, near to the reference where it leaves out its year or date."""
        if not heading.kind:
            return None
        return self._stamps.read(heading.kind, line[heading.start : heading.end], reference_us)

    def not_after(self, latest_us: int, time_us: int, heading: Heading, line: bytes) -> int:
        """The line's time, a year or a day earlier where it left that out and would lie in the future."""
        slack_us, back_us = (MINUTE_US, HALF_DAY_US) if heading.kind == "time" else (DAY_US, PAST_US)
        if time_us <= latest_us + slack_us:
            return time_us
        earlier_us = self.time_us(heading, line, latest_us - back_us)
        return time_us if earlier_us is None else earlier_us

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
    return Heading(cut.kind, start, end, name, True, message if message < len(shape) else 0)


@lru_cache(256)
def _level(written: bytes) -> str:
    return level_name(written.decode("latin-1"))
