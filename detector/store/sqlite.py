"""The embedded store: states, fence, rejects and outbox in one SQLite file, committed in one transaction."""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from detector.errors import BadSetup, Fenced
from detector.records import Reject
from detector.store import outbox
from detector.store.contract import Commit, Fence
from detector.store.faults import explained, meaning

SCHEMA_VERSION = 2
KEPT_REJECTS = 10_000  # newest rejects that stay readable
READ_CHUNK = 500  # sources in one query
CACHE_KIB = 16_384  # pages that stay in memory; a batch writes to most of those that it read
CHECKPOINT_PAGES = 16_384  # 64 MiB of log: a page that several batches change is then copied once

_TABLES = (
    """CREATE TABLE IF NOT EXISTS shard (
        name TEXT PRIMARY KEY, number INTEGER NOT NULL, bundle TEXT NOT NULL,
        fence BLOB NOT NULL, memory BLOB NOT NULL
    ) STRICT""",
    "CREATE TABLE IF NOT EXISTS source (source TEXT PRIMARY KEY, due_us INTEGER, state BLOB NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS source_due ON source (due_us) WHERE due_us IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS trace (log TEXT PRIMARY KEY, state BLOB NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS reject (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, origin TEXT NOT NULL, at INTEGER NOT NULL,
        reason TEXT NOT NULL, value BLOB NOT NULL
    ) STRICT""",
)


class Store:
    """One SQLite file, owned by this process alone until it is closed; it holds one shard."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            Fenced: another process owns it.
            Unavailable: its disk is full or broken.
            BadSetup: it cannot be opened, was written by another version or another program, or is damaged.
        """
        self._path = path
        self._lock = _lock(path)
        try:
            self._connection = _open(path)
        except sqlite3.Error as error:
            self._lock.close()
            unopened = BadSetup(f"{path} cannot be opened as a state file: {error}")
            raise (meaning(path, error) or unopened) from error
        except BadSetup:
            self._lock.close()
            raise

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
        self._lock.close()

    def enrol(self, shard: str, receivers: Iterable[outbox.Enrolment]) -> None:
        """Make these the receivers of every later revision."""
        self._check_shard(shard)
        with explained(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            outbox.enrol(self._connection, receivers)

    def fence(self, shard: str) -> Fence | None:
        """How far the shard has come, None before its first commit."""
        query = "SELECT number, bundle, fence, memory FROM shard WHERE name = ?"
        with explained(self._path):
            row = self._connection.execute(query, (shard,)).fetchone()
        return None if row is None else Fence(*row)

    def release(self, shard: str) -> None:
        """Nothing is remembered, and nobody else writes to the file while it is open."""

    def load(self, shard: str, sources: Iterable[str]) -> dict[str, bytes]:
        """The stored states of these sources, as far as there are any."""
        self._check_shard(shard)
        return dict(self._of_sources("state", sources))

    def _of_sources(self, column: str, sources: Iterable[str]) -> Iterator[tuple[str, Any]]:
        names = list(sources)
        for start in range(0, len(names), READ_CHUNK):
            chunk = names[start : start + READ_CHUNK]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT source, {column} FROM source WHERE source IN ({marks})"  # noqa: S608  (both are ours)
            with explained(self._path):
                rows = self._connection.execute(query, chunk).fetchall()
            yield from rows

    def sources(self, shard: str) -> int:
        """How many sources have a state."""
        self._check_shard(shard)
        with explained(self._path):
            [count] = self._connection.execute("SELECT count(*) FROM source").fetchone()
        return int(count)

    def due(self, shard: str, clock_us: int, limit: int) -> list[str]:
        """Sources that the clock alone changes something about, the longest due first; -1 is no limit."""
        self._check_shard(shard)
        query = "SELECT source FROM source WHERE due_us < ? ORDER BY due_us LIMIT ?"
        with explained(self._path):
            return [source for (source,) in self._connection.execute(query, (clock_us, limit))]

    def each_source(self, shard: str) -> Iterator[str]:
        """The name of every source that has a state, one after the other."""
        self._check_shard(shard)
        return (source for (source,) in self._connection.execute("SELECT source FROM source"))

    def each_state(self, shard: str) -> Iterator[bytes]:
        """Every stored state, one after the other."""
        self._check_shard(shard)
        return (state for (state,) in self._connection.execute("SELECT state FROM source"))

    def all_states(self, shard: str) -> dict[str, bytes]:
        """Every stored state by its source, in order; for tests and for tools that look at a whole shard."""
        self._check_shard(shard)
        return dict(self._connection.execute("SELECT source, state FROM source ORDER BY source").fetchall())

    def traces(self, shard: str) -> dict[str, bytes]:
        """What is remembered of the traces in each log."""
        self._check_shard(shard)
        with explained(self._path):
            return dict(self._connection.execute("SELECT log, state FROM trace").fetchall())

    def commit(self, commit: Commit) -> None:
        """Write a batch's effects and its fence in one transaction.

        Raises:
            Fenced: the shard has moved since the batch was computed.
            Unavailable: the disk is full or broken; nothing was written.
            BadSetup: the file is damaged; nothing was written.
        """
        with explained(self._path), self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._move_fence(commit)
            self._write_states(commit)
            self._write_traces(commit.traces)
            outbox.append(connection, commit.revisions)
            self._write_rejects(commit.rejects)

    def _check_shard(self, shard: str) -> None:
        """Sources are kept without their shard's name: a second shard would overwrite the first one's."""
        with explained(self._path):
            other = self._connection.execute("SELECT name FROM shard WHERE name <> ?", (shard,)).fetchone()
        if other is not None:
            raise ValueError(f"{self._path} holds shard {other[0]}, not {shard}: give each its own file")

    def _move_fence(self, commit: Commit) -> None:
        self._check_shard(commit.shard)
        stored = self.fence(commit.shard)
        number = 0 if stored is None else stored.number
        if number != commit.based_on:
            raise Fenced(
                f"shard {commit.shard} is at commit {number}, not at {commit.based_on}; "
                "another process has written to this state file"
            )
        self._connection.execute(
            "INSERT OR REPLACE INTO shard VALUES (?, ?, ?, ?, ?)",
            (commit.shard, number + 1, commit.bundle, commit.fence, commit.memory),
        )

    def _write_states(self, commit: Commit) -> None:
        rows = dict(self._of_sources("rowid", commit.states))
        due_us, states = commit.due_us, commit.states
        # In the order of the file: each page is then read and written once.
        old = sorted((row, source) for source, row in rows.items())
        self._connection.executemany(
            "DELETE FROM source WHERE rowid = ?", [(row,) for row, source in old if states[source] is None]
        )
        self._connection.executemany(
            "UPDATE source SET due_us = ?, state = ? WHERE rowid = ?",
            [(due_us.get(source), states[source], row) for row, source in old if states[source] is not None],
        )
        self._connection.executemany(
            "INSERT INTO source VALUES (?, ?, ?)",
            [
                (source, due_us.get(source), state)
                for source, state in states.items()
                if state is not None and source not in rows
            ],
        )

    def _write_traces(self, traces: Mapping[str, bytes | None]) -> None:
        gone = [(log,) for log, state in traces.items() if state is None]
        kept = [(log, state) for log, state in traces.items() if state is not None]
        self._connection.executemany("DELETE FROM trace WHERE log = ?", gone)
        self._connection.executemany("INSERT OR REPLACE INTO trace VALUES (?, ?)", kept)

    def _write_rejects(self, rejects: list[Reject]) -> None:
        if not rejects:
            return
        rows = [(reject.origin, reject.offset, reject.reason, reject.value) for reject in rejects]
        self._connection.executemany(
            "INSERT INTO reject (origin, at, reason, value) VALUES (?, ?, ?, ?)", rows
        )
        self._connection.execute(
            "DELETE FROM reject WHERE seq <= (SELECT max(seq) FROM reject) - ?", (KEPT_REJECTS,)
        )


def _lock(path: Path) -> IO[str]:
    try:
        lock = path.with_name(path.name + ".lock").open("a+", encoding="ascii")
    except OSError as error:
        raise BadSetup(f"{path} cannot be used as a state file: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise Fenced(f"{path} is in use by process {owner}; stop it or give another --state FILE") from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
    try:
        _check(connection, path)
        _prepare(connection)
    except (sqlite3.Error, BadSetup):
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Nothing is written to a file that is not ours."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and tables:
        raise BadSetup(f"{path} is the database of another program; give another --state FILE")
    if version not in {0, SCHEMA_VERSION}:
        raise BadSetup(f"{path} is of another version of tailrace (schema {version}); use a new file")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            connection.execute(statement)
        outbox.create_tables(connection)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
