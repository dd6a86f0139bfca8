"""Every kind of outbox as the tests of what it promises need it."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from detector.config.options import RedisAt
from detector.notify.queue import Queue
from detector.records import Revision
from detector.store.alerts import read_alerts
from detector.store.contract import Commit
from detector.store.deliveries import Deliveries
from detector.store.outbox import KEPT_REVISIONS, Enrolment, append, create_tables, enrol
from detector.store.redis import written
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.deliveries import Deliveries as RedisDeliveries
from detector.store.redis.keys import key
from tests.stores import PREFIX, SHARD, shared_redis


class Sent(Queue, Protocol):
    """What delivery needs of the outbox, and what people ask of it."""

    def resend(self, receiver: str) -> int:
        """Make dead deliveries wait again."""

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the deliveries, per receiver and state."""


class Outbox(Protocol):
    """A kind of outbox; each runs the same tests."""

    deliveries: Sent

    def enrol(self, *receivers: Enrolment) -> None:
        """Make these the receivers."""

    def append(self, *revisions: Revision, kept: int = KEPT_REVISIONS) -> None:
        """Commit revisions."""

    def seq(self, place: int) -> int:
        """By what number delivery knows the first, second … revision."""

    def kept(self) -> list[bytes]:
        """The payloads in the outbox, in order."""

    def alerts(self, beginning: str = "") -> list[bytes]:
        """Every alert as it stands, or those whose ids begin so."""


class SqliteOutbox:
    """In a file."""

    def __init__(self, folder: Path) -> None:
        """Create the file."""
        self._path = folder / "state.db"
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")  # no test of this cuts the power
        create_tables(self._connection)
        self.deliveries: Sent = Deliveries(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def enrol(self, *receivers: Enrolment) -> None:
        """As the store does."""
        enrol(self._connection, receivers)

    def append(self, *revisions: Revision, kept: int = KEPT_REVISIONS) -> None:
        """As the store does."""
        append(self._connection, list(revisions), kept=kept)

    def seq(self, place: int) -> int:
        """The same."""
        return place

    def kept(self) -> list[bytes]:
        """Every row."""
        return [payload for (payload,) in self._connection.execute("SELECT payload FROM outbox ORDER BY seq")]

    def alerts(self, beginning: str = "") -> list[bytes]:
        """As the command does."""
        return read_alerts(self._path, beginning)


class RedisOutbox:
    """In Redis."""

    def __init__(self, folder: Path) -> None:
        """Empty the server."""
        assert folder.is_dir()
        self._server = shared_redis()
        self._server("FLUSHALL")
        self._nodes = nodes_at(RedisAt(url=self._server.url))
        self._number = 0
        self._deliveries = RedisDeliveries(self._nodes, PREFIX, lambda: [SHARD])
        self.deliveries: Sent = self._deliveries

    def close(self) -> None:
        """Close the connections."""
        self._nodes.close()

    def enrol(self, *receivers: Enrolment) -> None:
        """As the worker does."""
        store = store_at(RedisAt(url=self._server.url))
        store.enrol(SHARD, receivers)
        store.close()

    def append(self, *revisions: Revision, kept: int = KEPT_REVISIONS) -> None:
        """A commit of nothing else."""
        store = store_at(RedisAt(url=self._server.url, kept_revisions=kept))
        store.commit(Commit(SHARD, self._number, "b1", b"", b"", {}, {}, list(revisions), []))
        self._number += 1
        store.close()

    def seq(self, place: int) -> int:
        """The place, and the number of the only shard."""
        return self._deliveries._seq(SHARD, place)

    def kept(self) -> list[bytes]:
        """Every payload."""
        outbox = key(PREFIX, SHARD, "outbox")
        places = sorted(map(int, self._server("HKEYS", outbox)))
        return [self._payload(outbox, place) for place in places]

    def _payload(self, outbox: str, place: int) -> bytes:
        payload = written.payload_of(self._server("HGET", outbox, place))
        assert payload is not None
        return payload

    def alerts(self, beginning: str = "") -> list[bytes]:
        """As the command does."""
        return written.read_alerts(self._nodes, PREFIX, beginning)


KINDS: Sequence[type[SqliteOutbox] | type[RedisOutbox]] = (SqliteOutbox, RedisOutbox)
