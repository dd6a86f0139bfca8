"""What stands in a message for each `<*>` of its template. No I/O; in time linear in the message."""

import re
from typing import Final

from detector.stages.shape import LONGEST_LINE

WILD: Final = "<*>"


def parameters_of(text: str, message: bytes) -> list[str]:
    """One value for each `<*>` of a template's text; empty where the message does not show it."""
    line = " ".join(message[:LONGEST_LINE].decode("utf-8", "replace").split())
    first, *between = text.split(WILD)
    if not between:
        return []
    begin = _search(first, line, 0)
    at = begin.end() if begin else 0
    found = []
    for literal in between[:-1]:
        hit = _search(literal, line, at)
        found.append(line[at : hit.start()].strip() if hit else "")
        at = hit.end() if hit else at
    end = len(line) - len(between[-1].strip()) if line.endswith(between[-1].strip()) else len(line)
    return [*found, line[at:end].strip()]


def _search(literal: str, line: str, at: int) -> re.Match[str] | None:
    """Where the constant text between two values stands; masks put blanks where the line has none."""
    words = literal.split()
    pattern = " *".join(map(re.escape, words)) if words else r" |$"
    return re.compile(pattern).search(line, at)
