"""Numbers that say what kind of line it is, as a status does: where they stand in a message. No I/O.

A code is a whole number of a few digits that stands by itself: `HTTP/1.1" 503`, `exit code 137`, `status=5`.
Masks hide it with all other numbers; training keeps those places whose values are few and stay the same.
"""

import re
from typing import Final, NamedTuple

LONGEST_CODE: Final = 3  # digits
MOST_NUMBERS: Final = 4  # of a message that stand by themselves: more are measurements

# Seen in shapes, where every digit is 0. Not parts of dates, times, addresses, versions or sizes.
_NUMBER = re.compile(rb"(?:(?<=[\s=(\[\"'])|(?<=[A-Za-z]:)|\A)0+(?=[\s,;)\]\"']|\.?\Z|\.\s)")
_WORD = re.compile(rb"[A-Za-z_]{1,40}")


class Place(NamedTuple):
    """Where a number stands: behind which word, and how many numbers after it."""

    word: str
    nth: int

    @property
    def text(self) -> str:
        """The place as people see it."""
        return (self.word or "line") + ("" if self.nth == 0 else f"+{self.nth}")


def places_of(shape: bytes) -> dict[Place, tuple[int, int]]:
    """The span of each number of a shape that stands by itself, of any length; none where many do."""
    found: dict[Place, tuple[int, int]] = {}
    word, at, nth = "", 0, 0
    for number in _NUMBER.finditer(shape):
        words = _WORD.findall(shape, at, number.start())
        if words:
            word, nth = words[-1].decode(), 0
        found.setdefault(Place(word, nth), number.span())
        at, nth = number.end(), nth + 1
        if len(found) > MOST_NUMBERS:
            return {}
    return found
