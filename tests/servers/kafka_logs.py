"""The logs of a broker that is down: marks of transactions, taken away as if never written. Changes files.

A log is one batch after the other. Each begins with its first offset and the length of the rest, has its
attributes and its producer at fixed places, and a bit in the attributes if it only marks a transaction's end.
"""

import struct
from collections.abc import Collection, Iterator
from pathlib import Path

HEADER = struct.Struct(">qi")  # first offset, length of what follows
ATTRIBUTES, PRODUCER = (struct.Struct(">h"), 21), (struct.Struct(">q"), 43)  # and where they lie
IS_MARK = 0x20
DERIVED = ("index", "timeindex", "snapshot")  # made again from the log


def lose_last_marks(data: Path, topic: str, producers: Collection[int]) -> int:
    """Take the last mark of each of these producers from each partition of a topic; how many those were."""
    return sum(_lose(folder, producers) for folder in sorted(data.glob(f"{topic}-[0-9]*")))


def _lose(folder: Path, producers: Collection[int]) -> int:
    [path] = folder.glob("*.log")
    batches = list(_batches(path.read_bytes()))
    last = {producer: at for at, (producer, _, is_mark) in enumerate(batches) if is_mark}
    lost = {at for producer, at in last.items() if producer in producers}
    if lost:
        path.write_bytes(b"".join(batch for at, (_, batch, _) in enumerate(batches) if at not in lost))
        for derived in (derived for kind in DERIVED for derived in folder.glob(f"*.{kind}")):
            derived.unlink()
    return len(lost)


def _batches(log: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """The producer of each batch, all of it, and whether it is a mark; the file's end may be empty."""
    at = 0
    while at + HEADER.size <= len(log):
        _, length = HEADER.unpack_from(log, at)
        if not length:
            return
        batch = log[at : at + HEADER.size + length]
        [attributes], [producer] = (form.unpack_from(batch, where) for form, where in (ATTRIBUTES, PRODUCER))
        yield producer, batch, bool(attributes & IS_MARK)
        at += len(batch)
