"""Read whole files once: what replay and training do. Reads files and standard input."""

import os
import stat
from collections.abc import Callable, Iterator

from detector.errors import Unreadable
from detector.inputs.archives import CHUNK_BYTES, content, is_archive, unreadable
from detector.inputs.lines import MAX_LINE_BYTES, Lines
from detector.inputs.paths import STDIN
from detector.inputs.siblings import Feed
from detector.records import Record

MAX_LINES = 8192
STDIN_DESCRIPTOR = 0


def read(
    path: str,
    *,
    offset: int = 0,
    max_lines: int = MAX_LINES,
    max_bytes: int = CHUNK_BYTES,
    max_line_bytes: int = MAX_LINE_BYTES,
    origin: str | None = None,
    before: int = 0,
) -> Iterator[list[Record]]:
    """The lines of a file from a line's offset on, in batches; the last one need not end in LF.

    A batch holds at most `max_lines` lines, and `max_bytes` of them plus one unfinished line.

    Args:
        path: the file.
        offset: where a line begins; what is before it is left out.
        max_lines: see above.
        max_bytes: see above.
        max_line_bytes: longer lines are cut.
        origin: of the records, where it is not the path.
        before: bytes of the same log in earlier files, which the records' offsets count too.

    Raises:
        Unreadable: after every whole line that could be read.
    """
    lines = Lines(origin or path, before + offset, max_line_bytes=max_line_bytes)
    for chunk in _chunks(path, offset, max_bytes):
        records = lines.feed(chunk)
        for start in range(0, len(records), max_lines):
            yield records[start : start + max_lines]
    if last := lines.finish():
        yield last


def read_feed(
    feed: Feed,
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
    damaged: Callable[[Unreadable], None] | None = None,
) -> Iterator[list[Record]]:
    """The lines of a log, file after file; offsets begin anew in each file, as they do for `watch`.

    `damaged` is told of a file that cannot be read to its end, and the next one is read all the same.

    Raises:
        Unreadable: after every whole line of the file that could be read, where nobody is told.
    """
    for path in feed.files:
        try:
            yield from read(path, max_line_bytes=max_line_bytes, origin=feed.origin)
        except Unreadable as error:
            if damaged is None:
                raise
            damaged(error)


def _chunks(path: str, offset: int, max_bytes: int) -> Iterator[bytes]:
    if path == STDIN:
        yield from _pieces(_stdin(offset), max_bytes)
    elif is_archive(path):
        yield from _pieces(_archive(path, offset), max_bytes)
    elif os.path.isfile(path):  # noqa: PTH113  # beside os.open
        yield from _plain(path, offset, max_bytes)
    else:
        yield from _pieces(content(path, offset), max_bytes)  # a pipe: it can be opened once


def _plain(path: str, offset: int, max_bytes: int) -> Iterator[bytes]:
    """Open the file for each chunk: a merge may hold thousands of files half-read."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                chunk = os.pread(descriptor, max_bytes, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(path, error) from error
        if not chunk:
            return
        offset += len(chunk)
        yield chunk


def _archive(path: str, offset: int) -> Iterator[bytes]:
    """Close the file after the first chunk: a merge reads that much of each long before the rest."""
    begun = content(path, offset)
    first = next(begun, b"")
    begun.close()
    if first:
        yield first
        yield from content(path, offset + len(first))


def _stdin(offset: int) -> Iterator[bytes]:
    """Of a file, from where it was handed over and as often as somebody asks; a pipe comes once."""
    try:
        if stat.S_ISREG(os.fstat(STDIN_DESCRIPTOR).st_mode):
            offset += os.lseek(STDIN_DESCRIPTOR, 0, os.SEEK_CUR)
            while chunk := os.pread(STDIN_DESCRIPTOR, CHUNK_BYTES, offset):
                yield chunk
                offset += len(chunk)
            return
        while chunk := os.read(STDIN_DESCRIPTOR, CHUNK_BYTES):
            if offset < len(chunk):
                yield chunk[offset:]
            offset = max(0, offset - len(chunk))
    except OSError as error:
        raise Unreadable(f"standard input cannot be read ({error.strerror}); check what feeds it.") from error


def _pieces(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), max_bytes):
            yield chunk[start : start + max_bytes]
