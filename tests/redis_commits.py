"""Commits to Redis and what they leave there, for the tests of its store."""

from typing import Any

import msgspec

from detector.records import Reject
from detector.store.contract import Commit
from detector.store.outbox import Enrolment
from tests.delivery import revision
from tests.servers.redis import Server

SHARD = "logs/0"
OPS = Enrolment("ops", "there")


def commit(based_on: int, **changes: Any) -> Commit:
    """A commit of nothing but its fence, unless said otherwise."""
    empty = Commit(SHARD, based_on, "b1", b"fence %d" % (based_on + 1), b"memory", {}, {}, [], [])
    return msgspec.structs.replace(empty, **changes)


def full(based_on: int) -> Commit:
    """A commit that writes to every part."""
    return commit(
        based_on,
        states={"web": b"web", "db": b"\xff\x00", "gone": None},
        due_us={"web": 7},
        revisions=[revision("a", based_on + 1), revision(f"b{based_on}", 1)],
        rejects=[Reject("logs", based_on, "no JSON", b"\xfe{")],
    )


def contents(server: Server) -> dict[bytes, Any]:
    """Every key with what it holds."""
    return {name: _value(server, name) for name in server("KEYS", "*")}


def _value(server: Server, name: bytes) -> Any:
    match server("TYPE", name):
        case b"hash":
            flat = server("HGETALL", name)
            return dict(zip(flat[::2], flat[1::2], strict=True))
        case b"zset":
            return server("ZRANGE", name, 0, -1, "WITHSCORES")
        case b"list":
            return server("LRANGE", name, 0, -1)
        case b"set":
            return set(server("SMEMBERS", name))
    return server("GET", name)
