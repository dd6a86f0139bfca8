"""The last lines of a source, packed into one value: only where they become evidence is it taken apart. Pure.

A byte says how many there are; each line is the lengths of its position and its text, then both. A state is
read, kept and written for every batch of its source, and so many small objects cost more than all else in it.
"""

from struct import Struct

from detector.records import EVIDENCE_BYTES, Line

RING = 8  # lines kept before an event
RingLine = tuple[str, bytes]  # position, text

_LENGTHS = Struct("<HH")


def lines_of(ring: bytes) -> list[RingLine]:
    """The lines, the oldest first."""
    found: list[RingLine] = []
    at = 1
    while at < len(ring):
        position, text = _LENGTHS.unpack_from(ring, at)
        middle = at + _LENGTHS.size + position
        at = middle + text
        found.append((ring[middle - position : middle].decode(), ring[middle:at]))
    return found


def with_line(ring: bytes, line: Line) -> bytes:
    """Remember a line; a continuation lengthens the line before it."""
    if not line.continuation:
        return with_events(ring, [line])
    found = lines_of(ring)
    append_continuation(found, line)
    return _joined(len(found), [_packed(position, text) for position, text in found])


def with_events(ring: bytes, lines: list[Line]) -> bytes:
    """Remember lines that are no continuations."""
    added = [_packed(line.position, line.text) for line in lines[-RING:]]
    kept = min(ring[0] if ring else 0, RING - len(added))
    return _joined(kept + len(added), [_newest(ring, kept), *added])


def append_continuation(lines: list[RingLine], line: Line) -> None:
    """Lengthen the last line."""
    if not lines:
        lines.append((line.position, line.text))
    elif len(lines[-1][1]) < EVIDENCE_BYTES:
        position, text = lines[-1]
        lines[-1] = (position, (text + b"\n" + line.text)[:EVIDENCE_BYTES])


def _newest(ring: bytes, count: int) -> bytes:
    """The last lines as they are packed."""
    if not count:
        return b""
    at = 1
    for _ in range(ring[0] - count):
        position, text = _LENGTHS.unpack_from(ring, at)
        at += _LENGTHS.size + position + text
    return ring[at:]


def _packed(position: str, text: bytes) -> bytes:
    where = position.encode()
    return _LENGTHS.pack(len(where), len(text)) + where + text


def _joined(count: int, parts: list[bytes]) -> bytes:
    return bytes((count,)) + b"".join(parts)
