"""How a content is known again under another name or in an archive. Reads files.

A content is known by its first bytes, and by the bytes before the places up to which it was read and
seen: they survive renaming, copying and packing, and truncation or a reused inode changes one of them.
"""

import os
from enum import Enum
from errno import ENOENT
from hashlib import blake2b
from typing import BinaryIO, NamedTuple

import msgspec

from detector.errors import Unreadable
from detector.inputs.archives import content, is_archive

SPAN_BYTES = 256


class Identity(NamedTuple):
    """What names a file on this machine as long as it exists; afterwards it may name another."""

    device: int
    inode: int


NOWHERE = Identity(0, 0)


class Fit(Enum):
    """How a file's content compares with a mark."""

    OTHER = "other"
    SHORT = "short"  # begins alike, and ends before the place up to which the content was seen
    WHOLE = "whole"


def digest(span: bytes) -> str:
    """A fingerprint of at most SPAN_BYTES."""
    return blake2b(span, digest_size=8).hexdigest()


NOTHING = digest(b"")


class Mark(msgspec.Struct):
    """One content of one file and how far it has been read: an entry of the fence."""

    origin: str
    generation: int
    path: str  # where it was last, without links
    identity: Identity  # NOWHERE: the file that held it holds something else
    offset: int = 0
    head_bytes: int = 0
    head: str = NOTHING
    tail_at: int = 0
    tail: str = NOTHING  # of the bytes before `tail_at`, up to which it was read
    seen_at: int = 0
    seen: str = NOTHING  # of the bytes before `seen_at`, up to which it was seen
    size: int = 0  # of the file, packed or not
    mtime_ns: int = 0
    done: bool = False  # an archive that was read to its end

    @property
    def name(self) -> str:
        """Its key in the fence."""
        return f"{self.origin}#{self.generation}"


def fit(descriptor: int, mark: Mark) -> Fit:
    """Whether an open plain file begins with what the mark has seen."""
    size = os.fstat(descriptor).st_size
    if size < mark.head_bytes or digest(os.pread(descriptor, mark.head_bytes, 0)) != mark.head:
        return Fit.OTHER
    for at, known in ((mark.tail_at, mark.tail), (mark.seen_at, mark.seen)):
        if size < at:
            return Fit.SHORT
        if digest(before(descriptor, at)) != known:
            return Fit.OTHER
    return Fit.WHOLE


def extend(descriptor: int, mark: Mark, *, read_to: int) -> bool:
    """Note how far an open file was read and how much there is; False if it does not fit the mark now.

    It is looked at last, for only then were the new spans surely those of the same content.
    """
    size = os.fstat(descriptor).st_size
    head, tail, seen = (before(descriptor, at) for at in (min(size, SPAN_BYTES), read_to, size))
    if fit(descriptor, mark) is not Fit.WHOLE or len(seen) < min(size, SPAN_BYTES):
        return False
    mark.head_bytes, mark.head = len(head), digest(head)
    mark.seen_at, mark.seen = size, digest(seen)
    if read_to >= mark.tail_at:
        mark.tail_at, mark.tail = read_to, digest(tail)
    return True


def before(descriptor: int, offset: int) -> bytes:
    """The last bytes of an open file before an offset."""
    start = max(0, offset - SPAN_BYTES)
    return os.pread(descriptor, offset - start, start)


def opened(path: str, identity: Identity) -> BinaryIO:
    """The open file that was found at the path.

    Raises:
        FileNotFoundError: it has another name by now; it is looked for again.
        OSError: it cannot be opened.
    """
    file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115  # the caller closes it
    found = os.fstat(file.fileno())
    if (found.st_dev, found.st_ino) != tuple(identity):
        file.close()
        raise FileNotFoundError(ENOENT, "renamed", path)
    return file


def compare(path: str, identity: Identity, mark: Mark) -> Fit:
    """Whether a file, packed or not, begins with what the mark has seen.

    Raises:
        OSError: it cannot be opened.
    """
    if is_archive(path):
        opened(path, identity).close()  # refused or renamed is not the same as damaged
        return _compare_archive(path, identity, mark)
    with opened(path, identity) as file:
        return fit(file.fileno(), mark)


def _compare_archive(path: str, identity: Identity, mark: Mark) -> Fit:
    head = window = b""
    position = 0
    spans = [(mark.tail_at, mark.tail), (mark.seen_at, mark.seen)]
    try:
        for chunk in content(path, inode=identity.inode):
            position += len(chunk)
            head += chunk[: SPAN_BYTES - len(head)]
            if len(head) >= mark.head_bytes and digest(head[: mark.head_bytes]) != mark.head:
                return Fit.OTHER
            window = window[-SPAN_BYTES:] + chunk
            while spans and spans[0][0] <= position:
                at, known = spans.pop(0)
                cut = len(window) - (position - at)
                if digest(window[max(0, cut - SPAN_BYTES) : cut]) != known:
                    return Fit.OTHER
            if not spans and len(head) >= mark.head_bytes:
                return Fit.WHOLE
    except Unreadable:
        pass  # what there is of it is compared
    return Fit.SHORT if len(head) >= mark.head_bytes > 0 else Fit.OTHER


def head_of(path: str, identity: Identity) -> bytes:
    """The first bytes of a file's content, packed or not; at most SPAN_BYTES.

    Raises:
        Unreadable: there is nothing that can be read.
    """
    head = b""
    try:
        for chunk in content(path, inode=identity.inode):
            head += chunk[: SPAN_BYTES - len(head)]
            if len(head) == SPAN_BYTES:
                break
    except Unreadable:
        if not head:
            raise
    return head


class Ends(NamedTuple):
    """The length of a content with its first and last bytes, as far as it can be read."""

    head: bytes
    length: int
    tail: bytes


def ends_of(path: str, identity: Identity) -> Ends:
    """The ends of a file's content, packed or not.

    Raises:
        OSError: a plain file cannot be read.
    """
    if not is_archive(path):
        with opened(path, identity) as file:
            length = os.fstat(file.fileno()).st_size
            return Ends(
                os.pread(file.fileno(), SPAN_BYTES, 0)[:length], length, before(file.fileno(), length)
            )
    head = tail = b""
    length = 0
    try:
        for chunk in content(path, inode=identity.inode):
            head += chunk[: SPAN_BYTES - len(head)]
            tail = (tail + chunk)[-SPAN_BYTES:]
            length += len(chunk)
    except Unreadable:
        pass  # an archive in the making: its beginning is enough to know it
    return Ends(head, length, tail)


def begins_with(path: str, identity: Identity, ends: Ends) -> bool:
    """Whether a plain file begins with the content that has these ends.

    Raises:
        OSError: the file cannot be read.
    """
    with opened(path, identity) as file:
        return (
            os.fstat(file.fileno()).st_size >= ends.length
            and os.pread(file.fileno(), len(ends.head), 0) == ends.head
            and before(file.fileno(), ends.length) == ends.tail
        )
