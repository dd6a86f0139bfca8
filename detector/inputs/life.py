"""A followed content with what is known of it until the next restart. Reads files."""

import os
from dataclasses import dataclass

from detector.inputs.archives import is_archive, unreadable
from detector.inputs.lines import MAX_LINE_BYTES, Lines
from detector.inputs.mark import (
    NOTHING,
    NOWHERE,
    Fit,
    Mark,
    before,
    compare,
    digest,
    extend,
    fit,
    head_of,
    opened,
)
from detector.inputs.sighting import Seen
from detector.inputs.unpacking import Unpacking

SETTLED = (
    2  # looks without finding it after which a content counts as gone: a listing may miss a renamed file
)


@dataclass(slots=True)
class Life:
    """One content of one file, from its first line to its rotation, wherever it lies now."""

    mark: Mark
    missing: int = 0  # looks in a row that have not found it
    stamp: tuple[int, int] | None = None  # size and ctime: changes when the file does
    checked: tuple[int, int] | None = None  # stamp at which it was found to be itself
    read: tuple[int, int] | None = None  # stamp at which it was read to its end
    held_size: int = -1  # size at which an unfinished last line was left waiting
    line_bytes: float = 128.0  # of late, on average: no more is read than is asked for
    trouble: str = ""
    lines: Lines | None = None  # kept only within a line that is too long
    unpacking: Unpacking | None = None

    @property
    def is_archive(self) -> bool:
        """Whether it lies packed."""
        return is_archive(self.mark.path)

    @property
    def is_gone(self) -> bool:
        """Whether it is not waited for any longer."""
        return self.missing >= SETTLED

    def is_due(self, *, is_old: bool, final: bool) -> bool:
        """Whether there may be something to read; a last line without an end waits for it."""
        if self.missing or self.trouble or self.mark.done:
            return False
        return self.read != self.stamp or ((is_old or final) and self.mark.size > self.mark.offset)


def suspend(life: Life, error: OSError) -> None:
    """Note that nothing can be told of the file now: it is not gone, and is looked at again."""
    life.trouble = str(unreadable(life.mark.path, error))
    life.checked = life.read = None
    life.missing = 0


def stamp_of(seen: Seen) -> tuple[int, int]:
    """Size and change time: both a write and a change of permissions show."""
    return seen.size, seen.ctime_ns


def settle(life: Life, seen: Seen) -> None:
    """Note where the content lies now."""
    mark = life.mark
    if mark.identity != seen.identity:
        life.checked = life.read = life.lines = life.unpacking = None
        mark.identity = seen.identity
    if mark.path != seen.path:
        mark.path = os.path.realpath(seen.path)
    mark.size, mark.mtime_ns = seen.size, seen.mtime_ns
    life.stamp = stamp_of(seen)
    life.missing = 0


def detach(life: Life) -> None:
    """Note that the file holds something else now."""
    life.mark.identity = NOWHERE
    life.checked = life.read = life.lines = life.unpacking = None


def holding(life: Life, seen: Seen) -> Fit:
    """How much of the content the file that should hold it still has; looks only where something changed."""
    if stamp_of(seen) == life.checked and (life.is_archive or not life.trouble):
        return Fit.WHOLE
    life.trouble = ""
    try:
        same = (
            compare(seen.path, seen.identity, _start_of(life.mark))
            if life.is_archive
            else _still(seen, life.mark)
        )
    except FileNotFoundError:
        return Fit.WHOLE  # renamed a moment ago, and looked at once it is found again
    except OSError as error:
        life.trouble = str(unreadable(seen.path, error))
        return Fit.WHOLE  # by its inode; what it holds is looked at when it can be
    if same is Fit.WHOLE:
        life.checked = stamp_of(seen)
    return same


def _still(seen: Seen, mark: Mark) -> Fit:
    with opened(seen.path, seen.identity) as file:
        if extend(file.fileno(), mark, read_to=0):
            return Fit.WHOLE
        return fit(file.fileno(), mark)


def accept_cut(life: Life, size: int) -> None:
    """Note that the content ends earlier than it did; what follows the cut may be written again."""
    mark = life.mark
    mark.offset = min(mark.offset, size)
    mark.seen_at, mark.seen = 0, NOTHING
    if size < mark.tail_at:
        mark.tail_at, mark.tail = 0, NOTHING


def _start_of(mark: Mark) -> Mark:
    """What is worth the time to compare of an archive that has not moved."""
    return Mark(
        mark.origin, mark.generation, mark.path, mark.identity, head_bytes=mark.head_bytes, head=mark.head
    )


def begin(origin: str, generation: int, seen: Seen) -> Life | None:
    """A content that has not been read yet; None while it is empty.

    Raises:
        Unreadable: an archive cannot be read.
        OSError: a plain file cannot be read.
    """
    head = head_of(seen.path, seen.identity)
    if not head:
        return None
    mark = Mark(origin, generation, os.path.realpath(seen.path), seen.identity, size=seen.size)
    mark.head_bytes, mark.head, mark.mtime_ns = len(head), digest(head), seen.mtime_ns
    life = Life(mark, stamp=stamp_of(seen))
    if not life.is_archive:
        _still(seen, mark)
    return life


def skip_to_end(life: Life) -> None:
    """Leave unread what is there, up to the last line that has not ended yet.

    Raises:
        OSError: the file cannot be read.
    """
    mark = life.mark
    if life.is_archive:
        mark.done = True
        return
    with opened(mark.path, mark.identity) as file:
        end = os.fstat(file.fileno()).st_size
        start = max(0, end - MAX_LINE_BYTES)
        last = os.pread(file.fileno(), end - start, start)
        mark.offset = start + last.rfind(b"\n") + 1
        mark.tail_at, mark.tail = mark.offset, digest(before(file.fileno(), mark.offset))
