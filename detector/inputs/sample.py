"""Some lines from all over a file, in order, without keeping all of it. Reads files."""

import os
from collections.abc import Iterator

from detector.inputs.archives import content, is_archive, unreadable
from detector.inputs.lines import Lines
from detector.records import Record

SPOT_BYTES = 1 << 14
SPOTS = 256  # of a file, about; a smaller one is looked at whole

Spot = tuple[int, bytes]  # where it begins, and what it holds


def sample(path: str, offset: int = 0) -> Iterator[list[Record]]:
    """The whole lines of spots all over a file, from a line's offset on; none of what is no regular file.

    Raises:
        Unreadable: the file cannot be read.
    """
    if not os.path.isfile(path):  # noqa: PTH113  (a pipe can be read once)
        return
    spots = _of_archive(path, offset) if is_archive(path) else _of_plain(path, offset)
    for start, spot in spots:
        # A spot may begin with the end of a line, and end with the beginning of one.
        skip = 0 if start == offset else spot.find(b"\n") + 1
        lines = Lines(path, start + skip)
        records = lines.feed(spot[skip:])
        if len(spot) < SPOT_BYTES:
            records += lines.finish()
        if records:
            yield records


def _of_plain(path: str, offset: int) -> Iterator[Spot]:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (the same as Path.open)
            size = os.fstat(file.fileno()).st_size
            starts = range(offset, size, max(SPOT_BYTES, (size - offset) // SPOTS))
            # The last line counts most.
            last = max(size - SPOT_BYTES + 1, starts[-1] + SPOT_BYTES) if starts else size
            for start in [*starts, *range(last, size, SPOT_BYTES)]:
                yield start, os.pread(file.fileno(), SPOT_BYTES, start)
    except OSError as error:
        raise unreadable(path, error) from error


def _of_archive(path: str, offset: int) -> Iterator[Spot]:
    """The first spot at once; the others when all is unpacked and the distance between them is known."""
    kept: list[Spot] = []
    step, first = SPOT_BYTES, True
    for start, spot in _pieces(content(path, offset), offset):
        if first:
            yield start, spot
            first = False
        elif (start - offset) % step == 0 or len(spot) < SPOT_BYTES:
            kept.append((start, spot))
        if len(kept) > 2 * SPOTS:
            step *= 2
            kept = [one for one in kept if (one[0] - offset) % step == 0]
    yield from kept


def _pieces(chunks: Iterator[bytes], start: int) -> Iterator[Spot]:
    """The content in spots that follow one another; the last one is shorter, or empty."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        while len(rest) >= SPOT_BYTES:
            yield start, rest[:SPOT_BYTES]
            start, rest = start + SPOT_BYTES, rest[SPOT_BYTES:]
    yield start, rest
