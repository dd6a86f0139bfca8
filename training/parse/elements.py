"""Lex the beginning of a line into the elements that headers are made of. No I/O."""

import re
from dataclasses import dataclass
from typing import Final

from detector.stages.header.header import END, PIECES, SPACED_TAG, TIME_CLOSING, TIME_OPENING
from detector.stages.header.timeforms import PATTERNS as TIMES

LEADING: Final = 20  # elements looked at
_NO_NAMES = {kind: re.sub(rb"\?P<\w+>", b"?:", pattern) for kind, pattern in TIMES.items()}
_TIME = re.compile(
    TIME_OPENING
    + b"(?:"
    + b"|".join(b"(" + pattern + b")" for pattern in _NO_NAMES.values())
    + b")"
    + TIME_CLOSING
    + END
)
_KINDS = tuple(TIMES)
# One letter a class of element, in the order they are tried; what is left is a word.
_CLASSES = (
    ("P", re.compile(rb"<\d{1,3}>")),
    ("L", re.compile(PIECES["level"] + END)),
    ("I", re.compile(PIECES["integer"] + END)),
    ("S", re.compile(PIECES["separator"] + END)),
    ("B", re.compile(PIECES["brackets"] + END)),
    ("C", re.compile(PIECES["tag"] + rb"(?= |$)")),
    ("W", re.compile(rb"[^\s|]{1,400}")),
)
_SPACED = re.compile(SPACED_TAG)
_FLAG = re.compile(rb"F(?= |$)")  # container runtimes mark whole lines so; seldom a level by itself
_GAP = re.compile(rb" *\|? *")


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its class, its text, and what parts it from the next."""

    letter: str  # T time, or a class above
    text: bytes
    kind: str = ""  # of a time stamp
    blanks: int = 1
    piped: bool = False


def lex(shape: bytes) -> list[Element]:
    """The leading elements of a shape."""
    elements: list[Element] = []
    at = len(shape) - len(shape.lstrip(b" "))
    while at < len(shape) and len(elements) < LEADING:
        letter, kind, end = _next(shape, at, spaced=bool(elements) and elements[-1].letter != "T")
        if end == at:
            break
        gap = b"" if letter == "P" else _GAP.match(shape, end)[0]  # type: ignore[index]
        elements.append(Element(letter, shape[at:end], kind, len(gap), b"|" in gap))
        at = end + len(gap)
    return elements


def _next(shape: bytes, at: int, *, spaced: bool) -> tuple[str, str, int]:
    found = _TIME.match(shape, at)
    if found is not None and found.lastindex is not None:
        return "T", _KINDS[found.lastindex - 1], found.end()
    for letter, pattern in _CLASSES:
        if letter == "C" and not spaced and _SPACED.match(shape, at):
            continue  # behind a time stamp the first word is the host
        if letter == "L" and _FLAG.match(shape, at):
            continue
        found = pattern.match(shape, at)
        if found is not None:
            return letter, "", found.end()
    return "W", "", at
