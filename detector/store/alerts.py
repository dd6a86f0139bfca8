"""Reads alerts back from a state file, beside the process that writes it. Opens it for reading only."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from detector.errors import Unreadable


def read_alerts(path: Path) -> list[bytes]:
    """Read every alert's latest revision, encoded, in the order in which they opened.

    Raises:
        Unreadable: there is no such state file.
    """
    with _reading(path) as connection:
        return [payload for (payload,) in connection.execute("SELECT payload FROM alert ORDER BY first_seq")]


def read_alert(path: Path, alert_id: str) -> bytes | None:
    """Read one alert's latest revision, encoded; None where it is not there.

    Raises:
        Unreadable: there is no such state file.
    """
    with _reading(path) as connection:
        row = connection.execute("SELECT payload FROM alert WHERE alert_id = ?", (alert_id,)).fetchone()
    return None if row is None else bytes(row[0])


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise Unreadable(f"{path}: there is no state file here; `tailrace watch --state` writes one")
    try:
        # Write-ahead logging: a reader sees the last commit and holds up nobody.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise Unreadable(f"{path}: not readable as a state file of tailrace: {error}") from error
