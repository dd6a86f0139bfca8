"""Learn the headers of a stream from its first lines: what stands before the message. No I/O.

Lines are grouped by the place and kind of their first time stamp; columns.py says what the lines of
a group share.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from detector.stages.header.header import Column, Header, Headers
from detector.stages.header.shape import shape_of
from training.parse.columns import (
    FIRST_TIME_WITHIN,
    STRONG_SHARE,
    Lines,
    choose_time,
    columns_of,
    message_remains,
)
from training.parse.elements import Element, lex

MONTHS: Final = 12
SAMPLE: Final = 2000  # lines looked at
LOOKED_AT: Final = 1024  # bytes of a line
MOST_HEADERS: Final = 6
SMALLEST_PART: Final = 0.05  # of a group, for a part of it to have a header of its own
SMALLEST_SHARE: Final = 0.01  # of the sample, for a group of lines to have a header of its own

Found = tuple[int, tuple[Column, ...]]  # a header's columns with the lines it is for


def learn_headers(lines: Iterable[bytes]) -> Headers:
    """The headers of a stream; lines beyond the sample are not read."""
    read = [line[:LOOKED_AT] for line, _ in zip(lines, range(SAMPLE), strict=False)]
    sample = [lex(shape_of(line)) for line in read]
    found: list[Found] = []
    for group in _groups([line for line in sample if line], max(2, int(len(sample) * SMALLEST_SHARE))):
        found.extend(_headers_of(group))
    best = sorted(found, key=lambda item: -item[0])[:MOST_HEADERS]
    # Long headers are tried first: a short one would also fit their lines.
    best.sort(key=lambda item: (-len(item[1]), -item[0]))
    headers = Headers(tuple(map(Header, dict.fromkeys(columns for _, columns in best))))
    return _with_day_first(headers) if _has_day_first(headers, read) else headers


def _has_day_first(headers: Headers, lines: Iterable[bytes]) -> bool:
    """Whether 31/12/2026 is written so: some first number is no month, and every second one is."""
    stamps = [line[slice(*cut.time)] for line in lines if (cut := headers.split(line)).kind == "month-first"]
    pairs = [[int(number) for number in stamp.lstrip(b"[(").split(b"/")[:2]] for stamp in stamps]
    return any(first > MONTHS for first, _ in pairs) and all(second <= MONTHS for _, second in pairs)


def _with_day_first(headers: Headers) -> Headers:
    turned = {"month-first": "day-first"}
    return Headers(
        tuple(
            Header(tuple(replace(one, kind=turned.get(one.kind, one.kind)) for one in header.columns))
            for header in headers.headers
        )
    )


def _groups(lines: Lines, smallest: int) -> list[Lines]:
    """Lines by the place and kind of their first time stamp."""
    groups: defaultdict[tuple[int, str, bytes], list[list[Element]]] = defaultdict(list)
    for line in lines:
        groups[_first_time(line)].append(line)
    return [group for group in groups.values() if len(group) >= smallest]


def _first_time(line: list[Element]) -> tuple[int, str, bytes]:
    for at, element in enumerate(line[:FIRST_TIME_WITHIN]):
        if element.letter == "T":
            return at, element.kind, element.text[:1] if element.text[:1] in b"[(" else b""
    return -1, "", b""


def _headers_of(group: Lines) -> list[Found]:
    """One header for a group; several where it shares nothing behind its time stamp."""
    first = _first_time(group[0])[0]
    columns = columns_of(group, first)
    found = [(len(group), tuple(columns))] if columns else []
    if first < 0 or not columns:
        return found
    if len(columns) == first + 1:
        for part in _parts(group, first):
            longer = columns_of(part, first)
            if len(longer) > len(columns) and message_remains(part, longer):
                found.append((len(part), tuple(longer)))
    else:
        # A line of another form keeps its message whole behind the time stamp.
        found.append((0, tuple(choose_time(columns[: first + 1]))))
    return found


def _parts(group: Lines, first: int) -> list[Lines]:
    """Split by where the level stands, where nearly every line has one, else by what follows first."""
    following = ["".join(map(_strict_letter, line[first + 1 : first + 7])) for line in group]
    levelled = sum("L" in letters for letters in following) >= STRONG_SHARE * len(group)
    parts: defaultdict[str, list[list[Element]]] = defaultdict(list)
    for line, letters in zip(group, following, strict=True):
        parts[letters[: letters.find("L") + 1] if levelled else letters[:2]].append(line)
    return [part for part in parts.values() if len(part) >= SMALLEST_PART * len(group)]


def _strict_letter(element: Element) -> str:
    """A level in small letters without brackets may be any word of a message."""
    return "W" if element.letter == "L" and element.text.rstrip(b":,").islower() else element.letter
