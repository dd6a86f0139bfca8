"""Split a raw line into time, level, host, tag and message by headers learnt before. No I/O.

A header is a list of columns; each compiles to a piece of one anchored pattern without nested
repeats, so a line costs time in proportion to its length.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from detector.errors import BadSetup
from detector.stages.header.shape import shape_of
from detector.stages.header.timeforms import PATTERNS as TIMES

# The frequent ones first: that is the order in which they are tried.
LEVELS: Final = (
    b"INFO WARN ERROR DEBUG WARNING FATAL NOTICE TRACE ERR CRITICAL CRIT ALERT EMERG SEVERE".split()
)
# In small letters these are words of messages.
CAPITAL_LEVELS: Final = (
    b"INFORMATION LOG FINE FINER FINEST CONFIG PANIC VERBOSE FAILURE EMERGENCY INF WRN DBG FTL VRB".split()
)
LEVEL: Final = b"(?:[VDIWEF]\\b|%b)" % b"|".join(
    [
        *LEVELS,
        *map(bytes.title, LEVELS),
        *map(bytes.lower, LEVELS),
        *CAPITAL_LEVELS,
        b"Information",
        rb"trace\d",
    ]
)
# What time and level stand in: brackets, or a pair of logfmt.
TIME_OPENING: Final = rb"(?:[\[(]|@?(?:time|ts|t|timestamp|datetime|date)=\"?)?"
TIME_CLOSING: Final = rb"[\])\"]?[,:;]?"
LEVEL_KEY: Final = rb"(?:level|lvl|severity)=\"?"
SPACED_TAG: Final = rb"[A-Za-z][\w.-]{0,40}(?: [\w.-]{1,40}){1,2}(?=\[)"
TAG: Final = rb"(?:[A-Za-z_/(<][^\s:\[\]\"=,;]{0,100}(?:::[^\s:\[\]\"=,;]{1,100}){0,5}|" + SPACED_TAG + b")"
BRACKETS: Final = (
    rb"(?:\[[^\[\]]{0,300}(?:\[[^\[\]]{0,300}\][^\[\]]{0,300}){0,8}\]|\([^()]{0,300}\)|\{[^{}]{0,300}\})"
)

PIECES: Final[Mapping[str, bytes]] = {
    "level": rb"(?:[\[(<](?:[\w-]{1,40}:)?|" + LEVEL_KEY + rb")?(" + LEVEL + rb")(?: {0,4}[\])>]|\")?[:,]?",
    "integer": rb"-?\d{1,20}[:,]?",
    "separator": rb"(?:-{1,3}|\||::?|>)",
    "brackets": BRACKETS + rb":?",
    "tag": rb"(" + TAG + rb")(?:\[[\w.#/:-]{1,40}\](?: \([^()]{1,200}\))?)?:",
    "word": rb"[^\s|]\S{0,300}",
    "host": rb"([^\s|]\S{0,300})",
    "cell": rb"[^|]{0,300}",
    "priority": rb"<\d{1,3}>(?:\d (?=\S))?",
    "until-dash": rb"\S.{0,120}? -(?= |$)",
}
# Brackets may stand side by side.
END: Final = rb"(?:(?=[ |]|$)|(?<=\])(?=\[))"
GAP: Final = rb"(?: +|$|(?<=\])(?=\[))"
NAMED: Final = ("time", "level", "host", "tag")
MOST_COLUMNS: Final = 20


Span = tuple[int, int]
ABSENT: Final = (0, 0)


class Cut(msgspec.Struct, frozen=True, gc=False):
    """Where a line's parts lie, in bytes; ABSENT is a part that the line does not have."""

    kind: str  # of the time stamp; empty where there is none
    time: Span
    message: int  # where it begins; it reaches to the end of the line
    groups: Mapping[str, int]  # of the header's pattern, by the names of the parts
    spans: tuple[Span, ...]  # of these groups

    @property
    def level(self) -> Span:
        """Where the level stands."""
        if self.kind in {"klog", "glog"}:  # its first letter is the level
            start = self.time[0]
            return start, start + 1
        return self._span("level")

    @property
    def host(self) -> Span:
        """Where the host's name stands."""
        return self._span("host")

    @property
    def tag(self) -> Span:
        """Where the name of the program or component stands."""
        return self._span("tag")

    def _span(self, name: str) -> Span:
        span = self.spans[self.groups[name]] if name in self.groups else ABSENT
        return ABSENT if span[0] < 0 else span


NOTHING: Final = Cut("", ABSENT, 0, {}, ())


@dataclass(frozen=True, slots=True)
class Column:
    """One piece of a header: `time`, or a name of PIECES."""

    piece: str
    kind: str = ""  # of a time stamp
    chosen: bool = False  # this time stamp is the line's time
    optional: bool = False
    piped: bool = False  # ends at a pipe, not at blanks


@dataclass(frozen=True, slots=True)
class Header:
    """What lines of one form begin with."""

    columns: tuple[Column, ...]
    kind: str = field(init=False, repr=False, compare=False)  # of the chosen time stamp; empty without one
    groups: Mapping[str, int] = field(init=False, repr=False, compare=False)  # of the pattern, by part
    pattern: re.Pattern[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the columns, and note which group of the pattern is which part."""
        named = [column.piece for column in self.columns if column.piece != "time" or column.chosen]
        named = [name for name in named if name in NAMED]
        kinds = [column.kind for column in self.columns if column.chosen]
        object.__setattr__(self, "kind", kinds[0] if kinds else "")
        object.__setattr__(self, "groups", {name: at + 1 for at, name in enumerate(named)})
        object.__setattr__(self, "pattern", re.compile(b" *" + b"".join(map(_source, self.columns))))


def _source(column: Column) -> bytes:
    """A column as a piece of pattern; only the chosen time and the named parts are groups."""
    if column.piece == "time":
        inside = re.sub(rb"\?P<\w+>", b"?:", TIMES[column.kind])
        inside = b"(" + inside + b")" if column.chosen else inside
        source = TIME_OPENING + inside + TIME_CLOSING + END
    else:
        source = PIECES[column.piece]
    end = rb" *\| *" if column.piped else b"" if column.piece == "priority" else GAP
    source += end
    return b"(?:" + source + b")?" if column.optional else source


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of a stream, the most frequent first."""

    headers: tuple[Header, ...] = ()

    def split(self, line: bytes) -> Cut:
        """The parts of a line; a line that begins like none of the headers is all message."""
        return self.cut(shape_of(line))

    def cut(self, shape: bytes) -> Cut:
        """`split` for a shape."""
        for header in self.headers:
            found = header.pattern.match(shape)
            if found is not None:
                spans = found.regs
                time = spans[header.groups["time"]] if header.kind else ABSENT
                return Cut(header.kind, time, found.end(), header.groups, spans)
        return NOTHING


def to_json(headers: Headers) -> list[object]:
    """The headers as plain lists and dicts, for templates.json."""
    return [[_plain(column) for column in header.columns] for header in headers.headers]


def from_json(data: object) -> Headers:
    """The headers from what `to_json` gave; raises BadSetup that names the key at fault."""
    if not isinstance(data, list):
        raise BadSetup("headers: expected a list; fit the bundle again")
    return Headers(tuple(Header(_columns(columns, f"headers[{at}]")) for at, columns in enumerate(data)))


def _plain(column: Column) -> dict[str, object]:
    plain: dict[str, object] = {"piece": column.piece, "kind": column.kind}
    plain |= {name: True for name in ("chosen", "optional", "piped") if getattr(column, name)}
    return {name: value for name, value in plain.items() if value}


def _columns(data: object, key: str) -> tuple[Column, ...]:
    if not isinstance(data, Sequence) or not 0 < len(data) <= MOST_COLUMNS:
        raise BadSetup(f"{key}: expected a list of 1 to {MOST_COLUMNS} columns; fit the bundle again")
    return tuple(_column(column, f"{key}[{at}]") for at, column in enumerate(data))


def _column(data: object, key: str) -> Column:
    try:
        column = msgspec.convert(data, Column)
    except msgspec.ValidationError as error:
        raise BadSetup(f"{key}: {error}; fit the bundle again") from error
    if column.chosen and (column.optional or column.piece != "time"):
        raise BadSetup(f"{key}: only a time stamp that is always there can be chosen; fit the bundle again")
    known = column.kind in TIMES if column.piece == "time" else column.piece in PIECES and not column.kind
    if not known:
        raise BadSetup(f"{key}: unknown column {column.piece!r} {column.kind!r}; fit the bundle again")
    return column
