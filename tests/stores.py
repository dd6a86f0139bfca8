"""Every kind of store as the tests of their contract need it. Starts a Redis, once in a run."""

import atexit
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec

from detector.config.options import RedisAt
from detector.store import sqlite
from detector.store.contract import Store
from detector.store.redis.connect import store_at
from detector.store.redis.keys import key
from detector.store.redis.letters import letter_of
from tests.servers.redis import Server, serving

SHARD = "files"
PREFIX = "tailrace"
PARTS = ("shard", "source", "reject", "outbox", "alert", "delivery")  # what one commit writes to, in turn


class Backend(Protocol):
    """A kind of store; each runs the same tests."""

    @classmethod
    def made(cls, folder: Path) -> AbstractContextManager["Backend"]:
        """Begin with nothing stored."""

    def open(self) -> Store:
        """Open the one store of this test; the process before it is gone."""

    def broken_at(self, part: str) -> Any:
        """While entered, a commit fails as it writes to this part."""

    def seen(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that another process sees of each part."""


class Sqlite:
    """One file."""

    def __init__(self, folder: Path) -> None:
        """Begin without a file."""
        self.path = folder / "state.db"

    @classmethod
    @contextmanager
    def made(cls, folder: Path) -> Iterator[Self]:
        """Nothing to start."""
        yield cls(folder)

    def open(self) -> Store:
        """Open the file."""
        return sqlite.Store(self.path)

    @contextmanager
    def broken_at(self, part: str) -> Iterator[None]:
        """A trigger fails the statement."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(
                f"CREATE TRIGGER broken BEFORE INSERT ON {part} BEGIN SELECT RAISE(ABORT, 'broken'); END"
            )
            yield
            connection.execute("DROP TRIGGER broken")

    def seen(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row."""
        with closing(sqlite3.connect(self.path)) as connection:
            return {part: connection.execute(f"SELECT * FROM {part}").fetchall() for part in PARTS}  # noqa: S608


_KEYS = dict(zip(PARTS, ("fence", "states", "letters", "outbox", "alerts", "deliveries"), strict=True))


class Redis:
    """One server, emptied."""

    def __init__(self, server: Server) -> None:
        """Begin with an empty server."""
        self.server = server
        server("FLUSHALL")

    @classmethod
    @contextmanager
    def made(cls, folder: Path) -> Iterator[Self]:
        """Take the server that all tests share."""
        assert folder.is_dir()
        yield cls(shared_redis())

    def open(self) -> Store:
        """A store with bounds like those of a file."""
        return store_at(RedisAt(url=self.server.url, kept_rejects=sqlite.KEPT_REJECTS))

    @contextmanager
    def broken_at(self, part: str) -> Iterator[None]:
        """Somebody else has written something of another type there."""
        at = self._key(part)
        dump = self.server("DUMP", at)
        self.server("SET", at, "theirs")
        yield
        self.server("DEL", at)
        if dump is not None:
            self.server("RESTORE", at, 0, dump)

    def seen(self) -> dict[str, list[tuple[Any, ...]]]:
        """What each key holds, in rows as SQLite has them."""
        letters = [(int(number), letter_of(raw)) for number, raw in self._hash("reject")]
        outbox = sorted((int(at), *_row(raw)) for at, raw in self._hash("outbox"))
        payloads = {place: payload for place, _, _, _, payload in outbox}
        alerts = [(name, *_row(raw)) for name, raw in self._hash("alert")]
        return {
            "shard": self._hash("shard"),
            "source": [
                *self._hash("source"),
                *self._pairs(self.server("ZRANGE", self._at("due"), 0, -1, "WITHSCORES")),
            ],
            "reject": [
                (number, one.origin, one.offset, one.reason, one.value) for number, one in sorted(letters)
            ],
            "outbox": [
                (place, alert_id, revision, payload.encode())
                for place, alert_id, revision, _, payload in outbox
            ],
            "alert": [
                (name.decode(), revision, first, places, payloads[places[-1]].encode())
                for name, revision, first, places in alerts
            ],
            "delivery": self._hash("delivery"),
        }

    def _at(self, part: str) -> str:
        return key(PREFIX, SHARD, part, "ops" if part == "deliveries" else "")

    def _key(self, part: str) -> str:
        return self._at(_KEYS[part])

    def _hash(self, part: str) -> list[tuple[Any, ...]]:
        return sorted(self._pairs(self.server("HGETALL", self._key(part))))

    @staticmethod
    def _pairs(flat: list[bytes]) -> list[tuple[Any, ...]]:
        return list(zip(flat[::2], flat[1::2], strict=True))


KINDS: list[type[Backend]] = [Sqlite, Redis]


def _row(raw: bytes) -> list[Any]:
    return list(msgspec.msgpack.decode(raw))


@cache
def shared_redis() -> Server:
    """One server for all tests that only need it to be empty."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return stack.enter_context(serving(Path(folder)))
