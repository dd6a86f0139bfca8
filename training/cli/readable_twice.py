"""Keep standard input for training, which reads its input twice. Reads it, and writes a temporary file."""

import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from detector.errors import BadSetup, Unavailable, Unreadable
from detector.inputs.archives import CHUNK_BYTES
from detector.inputs.paths import STDIN
from detector.inputs.read import STDIN_DESCRIPTOR


@contextmanager
def readable_twice(paths: Sequence[str]) -> Iterator[None]:
    """While entered, standard input can be read as often as a file, under the name that it has anyway.

    Raises:
        BadSetup: another pipe is named.
        Unavailable: there is no room to keep it.
        Unreadable: it cannot be read.
    """
    for path in paths:
        if path != STDIN and not Path(path).is_file():
            raise BadSetup(f"{path} can be read once, and training reads twice: give it as standard input, -")
    if STDIN not in paths or _is_file():
        yield
        return
    # It has no name in its folder, so that nothing of it remains however this process ends.
    with tempfile.TemporaryFile(prefix="tailrace-") as kept:
        _keep(kept)
        before = os.dup(STDIN_DESCRIPTOR)
        os.dup2(kept.fileno(), STDIN_DESCRIPTOR)
        try:
            yield
        finally:
            os.dup2(before, STDIN_DESCRIPTOR)
            os.close(before)


def _is_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(STDIN_DESCRIPTOR).st_mode)
    except OSError as error:
        raise Unreadable(f"standard input cannot be read ({error.strerror}); check what feeds it") from error


def _keep(kept: IO[bytes]) -> None:
    while chunk := _next_chunk():
        try:
            kept.write(chunk)
            kept.flush()
        except OSError as error:
            raise Unavailable(
                f"standard input cannot be kept in {tempfile.gettempdir()}: {error.strerror}; "
                "name a folder that has room by TMPDIR"
            ) from error
    kept.seek(0)


def _next_chunk() -> bytes:
    try:
        return os.read(STDIN_DESCRIPTOR, CHUNK_BYTES)
    except OSError as error:
        raise Unreadable(f"standard input cannot be read ({error.strerror}); check what feeds it") from error
