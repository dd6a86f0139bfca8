"""What stands in a message for each `<*>` of its template. No I/O; in time linear in the message."""

import re
from typing import Final

from detector.stages.header.shape import LONGEST_LINE

WILD: Final = "<*>"


def parameters_of(text: str, message: bytes) -> list[str]:
    """One value for each `<*>` of a template's text; empty where the message does not show it."""
    line = " ".join(message[:LONGEST_LINE].decode("utf-8", "replace").split())
    literals = text.split(WILD)
    found: list[str] = []
    at = 0
    for place, literal in enumerate(literals):
        span = _find(literal, line, at, first=place == 0, last=place == len(literals) - 1)
        if span is None:
            break
        if place:
            found.append(line[at : span[0]].strip())
        at = span[1]
    return found + [""] * (len(literals) - 1 - len(found))


def _find(literal: str, line: str, at: int, *, first: bool, last: bool) -> tuple[int, int] | None:
    """Where the constant text between two values stands; masks put blanks where the line has none."""
    pattern = " *".join(map(re.escape, literal.split()))
    if not pattern and (first or last):
        return (0, 0) if first else (len(line), len(line))
    pattern = pattern or " "
    hits = list(re.compile(pattern).finditer(line, at)) if last else [re.compile(pattern).search(line, at)]
    return hits[-1].span() if hits and hits[-1] else None
