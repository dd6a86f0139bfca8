"""Reads alerts back from a state file, beside the process that writes it. Opens it for reading only."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from detector.errors import Unreadable

_PRIMARY = 0xFF  # of a code; the rest tells more exactly what happened


def read_alerts(path: Path, beginning: str = "") -> list[bytes]:
    """Read the latest revision of every alert whose id begins so, encoded, in the order in which they opened.

    Raises:
        Unreadable: there is no such state file, or this user cannot read it.
    """
    query = "SELECT payload FROM alert WHERE substr(alert_id, 1, length(?1)) = ?1 ORDER BY first_seq"
    return [payload for (payload,) in _rows(path, query, beginning)]


def _rows(path: Path, query: str, *values: str) -> list[Any]:
    if not path.is_file():
        raise Unreadable(f"{path}: there is no state file here; `tailrace watch --state` writes one")
    try:
        # Write-ahead logging: a reader sees the last commit and holds up nobody.
        return _ask(path, "mode=ro", query, values)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY == sqlite3.SQLITE_READONLY:
            return _of_closed(path, query, values)
        if not all(os.access(one, os.R_OK) for one in (path, *_beside(path))):
            raise Unreadable(
                f"{path}: permission denied; let this user read it, and -wal and -shm of its name"
            ) from error
        raise Unreadable(f"{path}: not readable as a state file of tailrace: {error}") from error


def _of_closed(path: Path, query: str, values: Sequence[str]) -> list[Any]:
    """The rows of a file that nobody has open, for a user who may not write beside it.

    Only a log of writes (`-wal`) tells that somebody has; where there is none before and after, and the file
    is the same, what was read as if it never changed did not change.
    """
    before = _seen(path)
    if not _beside(path):
        with suppress(sqlite3.Error):  # of a file that changes under the reader
            rows = _ask(path, "mode=ro&immutable=1", query, values)
            if not _beside(path) and _seen(path) == before:
                return rows
    raise Unreadable(
        f"{path}: cannot be read just now by a user who may not write in its folder: it is being opened or "
        "closed, or its `watch` was killed; try again, or as the user who runs `watch`"
    )


def _ask(path: Path, mode: str, query: str, values: Sequence[str]) -> list[Any]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as connection:
        return connection.execute(query, values).fetchall()


def _beside(path: Path) -> list[Path]:
    """What SQLite keeps beside a file that is open."""
    files = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
    return [file for file in files if file.exists()]


def _seen(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
