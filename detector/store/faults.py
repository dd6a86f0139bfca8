"""What a failure of SQLite means for whoever runs the program. No I/O."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.errors import BadSetup, TailraceError, Unavailable

_PRIMARY = 0xFF  # of a code; the rest tells more exactly what happened
_WRONG = {
    sqlite3.SQLITE_NOTADB: "is no state file ({error}); give another --state FILE",
    sqlite3.SQLITE_CORRUPT: "is damaged ({error}); put a copy of it back, or give another --state FILE",
}
_OUT_OF_ORDER = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Name the file and what to do about it; what is our own fault stays as it is.

    Raises:
        BadSetup: the file is not ours, or damaged.
        Unavailable: the disk is full or broken; what was not committed will be read again.
    """
    try:
        yield
    except sqlite3.Error as error:
        fault = meaning(path, error)
        if fault is None:
            raise
        raise fault from error


def meaning(path: Path, error: sqlite3.Error) -> TailraceError | None:
    """The error for people; None where it is a bug."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in _WRONG:
        return BadSetup(f"{path} {_WRONG[code].format(error=error)}")
    if code in _OUT_OF_ORDER:
        return Unavailable(
            f"{path} cannot be written: {error}; see to its disk, then start again: no line is lost"
        )
    return None
