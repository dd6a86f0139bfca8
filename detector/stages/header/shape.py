"""A line's shape: every digit is 0 and every control character a blank. No I/O.

Headers and masks look at shapes only, so lines of one shape have one header and one template, and
a memory of shapes cannot change an output. A shape is as long as its line: spans fit both.
"""

from typing import Final

LONGEST_LINE: Final = 8192  # bytes; what follows is not parsed
LONGEST_REMEMBERED: Final = 2048  # bytes; longer lines are worked out each time
REMEMBERED: Final = 50_000  # shapes kept before a memory starts anew

SHAPE: Final = bytes(
    ord("0") if chr(code).isdigit() and code < 128 else ord(" ") if code < 32 or code == 127 else code  # noqa: PLR2004
    for code in range(256)
)


def shape_of(line: bytes) -> bytes:
    """The shape of what is parsed of a line."""
    return line[:LONGEST_LINE].translate(SHAPE)
