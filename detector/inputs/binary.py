"""Tell what is no log by its first bytes, and say what to do instead. Reads files.

A log may hold NULs: a crash leaves pages of them, and a writer that goes on behind a truncation leaves a hole
at the start. Long runs of NULs therefore count for nothing.
"""

import os
import re
from collections.abc import Hashable
from typing import Final

from detector.errors import Unreadable
from detector.inputs.archives import content

LOOKED_AT_BYTES: Final = 1 << 13  # behind the NULs at the start
HOLE_BYTES: Final = 1 << 20  # of NULs at the start, behind which nothing is looked for
MOST_CONTROL: Final = 0.05  # of all bytes; packed and random content has more
MOST_OTHER: Final = 0.1  # of the characters of UTF-16 that are not ASCII

_RUN = re.compile(rb"\0{16,}")
# Not those that logs hold: tabs, ends of lines, terminal escapes, and what parts the fields of a message.
_CONTROL: Final = bytes({*range(32), 127} - {*b"\t\n\v\f\r\b\x1b\x01\x02\x03\x1c\x1d\x1e\x1f"})
_KNOWN: Final = {
    b"LPKSHHRH": "a journal of systemd; give the output of `journalctl -o json` or `-o short-iso`",
    b"SQLite format 3\0": "a database of SQLite",
    b"\x89PNG\r\n": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"%PDF-": "a PDF",
    b"\x7fELF": "a program",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"BZh": "packed by bzip2; unpack it, or pack it as .gz or .zst",
    b"\xfd7zXZ\0": "packed by xz; unpack it, or pack it as .gz or .zst",
    b"\x04\x22\x4d\x18": "packed by lz4; unpack it, or pack it as .gz or .zst",
    b"\x1f\x8b": "packed by gzip; end its name in .gz",
    b"\x28\xb5\x2f\xfd": "packed by zstd; end its name in .zst",
}
_TAR: Final = slice(257, 262), b"ustar"
_MARKS: Final = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def refusal(path: str, why: str) -> str:
    """What a person is told of a file that is no log."""
    return f"{path}: no log ({why})"


def why_no_log(path: str) -> str:
    """What a file is, in words, where it is no log; empty where it may be one, or cannot be read."""
    if not os.path.isfile(path):  # noqa: PTH113  (a pipe can be read once)
        return ""
    try:
        return judged(_begin(path))
    except Unreadable:
        return ""  # whoever reads the file says so


def judged(begin: bytes) -> str:
    """The same for the first bytes of a content."""
    for magic, what in _KNOWN.items():
        if begin.startswith(magic):
            return what
    where, magic = _TAR
    if begin[where] == magic:
        return "a tar archive; unpack it"
    if coding := _MARKS.get(begin[:2]):
        return _judged_wide(begin[2 : len(begin) // 2 * 2].decode(coding, "replace"))
    text = _RUN.sub(b"", begin)
    # Letters with a NUL beside each are UTF-16 without its mark, and are read as such.
    nuls = sorted((text[::2].count(0), text[1::2].count(0)))
    if nuls[0] == 0 and nuls[1] > (1 - MOST_OTHER) * len(text) / 2:
        text = text.replace(b"\0", b"")
    control = len(text) - len(text.translate(None, _CONTROL))
    return "binary content" if control > MOST_CONTROL * len(text) else ""


def _judged_wide(text: str) -> str:
    """UTF-16 is read by leaving its NULs out, so other alphabets than ours come out garbled."""
    is_other = sum(not letter.isascii() for letter in text) > MOST_OTHER * len(text)
    return "text in UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`" if is_other else ""


class Told:
    """What files were found to be, for as long as they stay as they are and are asked for."""

    def __init__(self) -> None:
        """Know none."""
        self._files: dict[Hashable, tuple[Hashable, str]] = {}
        self._asked: dict[Hashable, tuple[Hashable, str]] = {}

    def begin_look(self) -> None:
        """What was not asked for again is forgotten: it went away, or is followed by now."""
        self._files, self._asked = self._asked, {}

    def why(self, path: str, file: Hashable, stamp: Hashable) -> str:
        """`why_no_log`, looked at again when the stamp of the file is another."""
        known, why = self._files.get(file, (None, ""))
        if known != stamp:
            why = why_no_log(path)
        self._asked[file] = stamp, why
        return why


def _begin(path: str) -> bytes:
    begin, hole = b"", 0
    chunks = content(path)
    for chunk in chunks:
        text = chunk.lstrip(b"\0") if not begin else chunk
        hole += len(chunk) - len(text)
        begin += text[:LOOKED_AT_BYTES]
        if len(begin) >= LOOKED_AT_BYTES or hole > HOLE_BYTES:
            break
    chunks.close()
    return begin[:LOOKED_AT_BYTES]
