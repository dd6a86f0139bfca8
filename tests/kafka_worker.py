"""A worker as a process of its own, with a store that outlives it: what tests kill.

`python -m tests.kafka_worker ADDRESS TOPIC STORE [PAUSE_S [STALL_S]]`; a pause makes each batch take so long.
"""

import os
import sqlite3
import sys
import threading
from pathlib import Path

from detector.cli.stopping import Stopping
from detector.inputs.kafka.feed import Begin, PartitionBatch, Shard
from detector.inputs.kafka.run import run
from tests.kafka_feeds import feed_of

TABLES = """
CREATE TABLE IF NOT EXISTS fence (topic TEXT, partition INTEGER, at INTEGER, PRIMARY KEY (topic, partition));
CREATE TABLE IF NOT EXISTS record (partition INTEGER, offset INTEGER, value BLOB);
CREATE TABLE IF NOT EXISTS begun (pid INTEGER, partition INTEGER);
"""


class Store:
    """Fences and records in one file, committed together; strict about who may go on from where."""

    def __init__(self, path: Path, pid: int = 0, pause_s: float = 0.0) -> None:
        """Open or make it."""
        self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + TABLES)
        self._pid, self._pause_s, self._pause = pid, pause_s, threading.Event()
        self._fences: dict[Shard, int] = {}  # what this process believes

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to."""
        row = self._db.execute("SELECT at FROM fence WHERE topic = ? AND partition = ?", shard).fetchone()
        return None if row is None else int(row[0])

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Take it from there."""
        self._fences[shard] = begin.after
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR IGNORE INTO fence VALUES (?, ?, ?)", (*shard, begin.after))
            self._db.execute("INSERT INTO begun VALUES (?, ?)", (self._pid, shard.partition))

    def process(self, batch: PartitionBatch) -> None:
        """Commit a batch; a fence that somebody else has moved refuses it."""
        self._pause.wait(self._pause_s)
        shard, based_on = batch.shard, self._fences[batch.shard]
        assert batch.after <= based_on
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if self.fence(shard) != based_on:
                raise RuntimeError(f"{shard} is somebody else's")
            rows = [(shard.partition, r.offset, r.value) for r in batch.records if r.offset > based_on]
            self._db.executemany("INSERT INTO record VALUES (?, ?, ?)", rows)
            self._db.execute(
                "UPDATE fence SET at = ? WHERE topic = ? AND partition = ?", (batch.last, *shard)
            )
        self._fences[shard] = batch.last

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """Let time pass."""

    def stopped(self, shard: Shard, reason: str) -> None:
        """Leave it."""

    def dropped(self, shards: frozenset[Shard]) -> None:
        """Forget them."""

    def count(self) -> int:
        """How many records are kept."""
        return int(self._db.execute("SELECT count(*) FROM record").fetchone()[0])

    def values(self, partition: int) -> list[bytes]:
        """What is kept of a partition, in the order in which it came."""
        rows = self._db.execute("SELECT value FROM record WHERE partition = ? ORDER BY rowid", (partition,))
        return [value for (value,) in rows]

    def begins_of(self, pid: int) -> list[int]:
        """The partitions that a process has begun, as often as it has."""
        rows = self._db.execute("SELECT partition FROM begun WHERE pid = ?", (pid,))
        return [partition for (partition,) in rows]


def main(address: str, topic: str, path: str, pause_s: str = "0", stall_s: str = "60") -> None:
    """Work until told to end."""
    with Stopping() as stopping:
        feed = feed_of(address, topic, stall_timeout_s=float(stall_s))
        run(feed, Store(Path(path), os.getpid(), float(pause_s)), stopping)


if __name__ == "__main__":
    main(*sys.argv[1:])
