"""The content of a file in chunks, whatever it is packed in. Reads files.

`.gz` and `.zst` are read as what they hold; members or frames that follow one another are one content.
"""

import os
import sys
import zlib
from collections.abc import Generator, Iterator
from errno import ENOENT
from typing import BinaryIO

from detector.errors import Unreadable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK_BYTES = 1 << 18
_GZIP = 31  # zlib's window argument for a gzip header and the largest window


def is_archive(path: str) -> bool:
    """Whether the file is read as what it holds."""
    return path.endswith((".gz", ".zst"))


def content(path: str, offset: int = 0, *, inode: int | None = None) -> Generator[bytes]:
    """The content from a byte offset on; what can be read comes before the error.

    Args:
        path: the file; its suffix says how it is packed.
        offset: bytes of the content to leave out.
        inode: which file it was when it was found: rotation renames files at any moment.

    Raises:
        FileNotFoundError: the file has another name by now, where its inode was given.
        Unreadable: the file cannot be opened or read, or it is damaged or cut short.
    """
    position = 0
    try:
        with open(path, "rb", buffering=0) as raw:  # noqa: PTH123  # the same as Path.open
            if inode not in (None, os.fstat(raw.fileno()).st_ino):
                raise FileNotFoundError(ENOENT, "renamed", path)
            for chunk in _unpacked(path, raw):
                position += len(chunk)
                if position > offset:
                    yield chunk[max(0, len(chunk) - (position - offset)) :]
    except EOFError as error:
        raise Unreadable(f"{path}: cut short after byte {position} of its content; copy it again.") from error
    except (zlib.error, zstd.ZstdError) as error:
        raise Unreadable(
            f"{path}: damaged after byte {position} of its content ({error}); copy it again."
        ) from error
    except OSError as error:
        if inode is not None and isinstance(error, FileNotFoundError):
            raise
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> Unreadable:
    """What a person is told when the system refuses a file."""
    if isinstance(error, PermissionError):
        return Unreadable(f"{path}: permission denied; let this user read it, or leave it out.")
    return Unreadable(
        f"{path}: cannot be read ({os.strerror(error.errno or 0)}); check the path and the disk."
    )


def _unpacked(path: str, raw: BinaryIO) -> Iterator[bytes]:
    if path.endswith(".gz"):
        return _gunzip(raw)
    if path.endswith(".zst"):
        return _unzstd(raw)
    return iter(lambda: raw.read(CHUNK_BYTES), b"")


def _gunzip(raw: BinaryIO) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP)
    begun = False
    while packed := raw.read(CHUNK_BYTES):
        while packed:
            begun = True
            yield from _inflate(member, packed)
            packed = b""
            if member.eof:
                # Tapes and some writers fill up with zeros after a member.
                packed = member.unused_data.lstrip(b"\0")
                member, begun = zlib.decompressobj(_GZIP), False
    if begun:
        raise EOFError


def _inflate(member: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    """Unpack in bounded pieces: a few kilobytes may hold gigabytes."""
    while True:
        chunk = member.decompress(packed, CHUNK_BYTES)
        packed = member.unconsumed_tail
        if chunk:
            yield chunk
        if member.eof or (not packed and len(chunk) < CHUNK_BYTES):
            return


def _unzstd(raw: BinaryIO) -> Iterator[bytes]:
    frame = zstd.ZstdDecompressor()
    begun = False
    while packed := raw.read(CHUNK_BYTES):
        while packed or not frame.needs_input:
            begun = True
            if chunk := frame.decompress(packed, CHUNK_BYTES):
                yield chunk
            packed = b""
            if frame.eof:
                packed = frame.unused_data
                frame, begun = zstd.ZstdDecompressor(), False
    if begun:
        raise EOFError
