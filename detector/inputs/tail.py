"""Read one followed content on from where it was left. Reads files.

What was read counts only if the file still begins as it did when that is looked at after the reading:
a file that was truncated meanwhile may hold other lines at the same place.
"""

import os
from dataclasses import dataclass

from detector.inputs.archives import CHUNK_BYTES, unreadable
from detector.inputs.life import Life
from detector.inputs.lines import Lines
from detector.inputs.mark import NOTHING, Mark, extend
from detector.inputs.unpacking import Unpacking
from detector.records import Record

_LONG_LINE_CHUNKS = 64  # pieces of a line without an end that are read in one go

_LEAST_BYTES = 256  # read even where lines are short


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be read."""

    lines: int
    bytes: int
    line_bytes: int  # longer lines are cut


def read_on(life: Life, room: Room, *, is_old: bool, final: bool) -> list[Record]:
    """The next lines; `life.read` tells afterwards whether that was all there is.

    Args:
        life: what is read.
        room: bounds of what is returned.
        is_old: another content follows this one, so a last line without an end will not get one.
        final: deliver such a line at once.
    """
    try:
        if life.is_archive:
            return _unpack_on(life, room)
        descriptor = os.open(life.mark.path, os.O_RDONLY)
    except FileNotFoundError:
        life.unpacking = None
        return []  # renamed or gone since it was looked for
    except OSError as error:
        life.trouble = str(unreadable(life.mark.path, error))
        return []
    try:
        return _read_plain(life, descriptor, room, is_old=is_old, final=final)
    except OSError as error:
        life.trouble = str(unreadable(life.mark.path, error))
        return []
    finally:
        os.close(descriptor)


def _unpack_on(life: Life, room: Room) -> list[Record]:
    mark = life.mark
    if life.unpacking is None:
        lines = Lines(mark.origin, mark.offset, max_line_bytes=room.line_bytes)
        life.unpacking = Unpacking(mark.path, mark.identity.inode, lines)
    records = life.unpacking.take(room.lines, room.bytes)
    if records:
        mark.offset = records[-1].end
        _forget_tail(mark)
    life.trouble = life.unpacking.fault
    mark.done = life.unpacking.is_over
    if mark.done or life.trouble:
        life.read = life.stamp
        life.unpacking = None
    return records


def _forget_tail(mark: Mark) -> None:
    # An archive is not truncated or copied again: its head and inode are enough.
    mark.tail_at, mark.tail = 0, NOTHING
    mark.seen_at, mark.seen = 0, NOTHING


def _read_plain(life: Life, descriptor: int, room: Room, *, is_old: bool, final: bool) -> list[Record]:
    found = os.fstat(descriptor)
    mark = life.mark
    if (found.st_dev, found.st_ino) != tuple(mark.identity):
        return []  # renamed since it was looked for
    lines = life.lines or Lines(mark.origin, mark.offset, max_line_bytes=room.line_bytes)
    life.lines = None
    size = min(room.bytes, int(room.lines * life.line_bytes) + _LEAST_BYTES)
    records, is_all = _lines_from(descriptor, lines, size)
    if len(records) > room.lines:
        del records[room.lines :]
        is_all = False
    elif is_all and lines.end > lines.offset and _ends_here(life, found.st_size, is_old=is_old, final=final):
        records += lines.finish() if len(records) < room.lines else []
    end = records[-1].end if records else mark.offset
    if not extend(descriptor, mark, read_to=end):
        life.checked = None
        return []
    if records:
        life.line_bytes = (end - mark.offset) / len(records)
    mark.offset = end
    if lines.is_cutting and lines.offset == end:
        life.lines = lines
    mark.size, mark.mtime_ns = found.st_size, found.st_mtime_ns
    waits = is_old and is_all and lines.end > lines.offset
    life.stamp = (found.st_size, found.st_ctime_ns)
    life.read = life.stamp if is_all and not waits else None
    return records


def _lines_from(descriptor: int, lines: Lines, size: int) -> tuple[list[Record], bool]:
    """Lines, and whether the file ended; reads on only as long as not even one line has ended."""
    for _ in range(_LONG_LINE_CHUNKS):
        chunk = os.pread(descriptor, size, lines.end)
        records = lines.feed(chunk)
        if records or len(chunk) < size:
            return records, len(chunk) < size
        size = max(size, CHUNK_BYTES)
    return [], False


def _ends_here(life: Life, size: int, *, is_old: bool, final: bool) -> bool:
    """Whether the last line, which has no end, will not get one.

    A writer may finish its line after the renaming: it is given until the next look.
    """
    quiet = life.held_size == size
    life.held_size = size
    return final or (is_old and quiet)
