"""What the product has written to Redis, across all shards: its keys and its alerts. Talks to Redis."""

from collections.abc import Iterator

import msgspec

from detector.store.redis.keys import TOPIC_PARTS, key, pattern, shard_and_part
from detector.store.redis.nodes import Nodes
from detector.store.redis.pack import unpack

_SCAN_COUNT = 1_000  # keys that one step looks at


class Written(msgspec.Struct, frozen=True):
    """One key of ours."""

    name: str
    shard: str
    part: str


class Fence(msgspec.Struct, frozen=True):
    """How far a shard has come, as it is stored."""

    bundle: str
    fence: bytes  # the input's own, opaque here


class _Opened(msgspec.Struct):
    opened_at: str | None


def written(nodes: Nodes, prefix: str) -> Iterator[Written]:
    """Every key of the product under the prefix, on every server; somebody else's are left out."""
    for address in nodes.primaries():
        cursor, seen = b"0", set[str]()
        while True:
            cursor, names = nodes.ask_at(
                address, "SCAN", cursor, "MATCH", pattern(prefix), "COUNT", _SCAN_COUNT
            )
            for name in {raw.decode() for raw in names} - seen:
                seen.add(name)
                found = shard_and_part(prefix, name)
                if found is not None:
                    yield Written(name, *found)
            if cursor == b"0":
                break


def remove(nodes: Nodes, one: Written) -> None:
    """Remove a key; the memory is freed beside other work."""
    nodes.ask(one.name, "UNLINK", one.name)


def leave_mark(nodes: Nodes, prefix: str, shard: str, mark: bytes) -> None:
    """Leave something beside a shard's fence, or where it was, until the next commit."""
    at = key(prefix, shard, "fence")
    nodes.ask(at, "HSET", at, "mark", mark)


def clear_mark(nodes: Nodes, prefix: str, shard: str) -> None:
    """Forget what was noted of records that end the worker."""
    at = key(prefix, shard, "fence")
    nodes.ask(at, "HDEL", at, "mark")


def shards(nodes: Nodes, prefix: str) -> list[str]:
    """Every shard that has committed or enrolled."""
    return sorted({one.shard for one in written(nodes, prefix) if one.part not in TOPIC_PARTS})


def read_fence(nodes: Nodes, prefix: str, shard: str) -> Fence | None:
    """A shard's fence, None before its first commit."""
    at = key(prefix, shard, "fence")
    bundle, fence = nodes.ask(at, "HMGET", at, "bundle", "fence")
    return None if fence is None else Fence((bundle or b"").decode(), fence)


def read_alerts(nodes: Nodes, prefix: str, beginning: str = "") -> list[bytes]:
    """The latest revision of every alert whose id begins so, encoded, in the order in which they opened."""
    found = []
    for shard in shards(nodes, prefix):
        alerts, outbox = key(prefix, shard, "alerts"), key(prefix, shard, "outbox")
        flat = nodes.ask(alerts, "HGETALL", alerts)
        rows = [
            row
            for name, row in zip(flat[::2], flat[1::2], strict=True)
            if name.startswith(beginning.encode())
        ]
        for _, first, places in map(unpack, rows):
            payload = payload_of(nodes.ask(outbox, "HGET", outbox, places[-1]))
            if payload is not None:
                opened_at = msgspec.json.decode(payload, type=_Opened).opened_at
                found.append((opened_at or "", shard, first, payload))
    return [payload for *_, payload in sorted(found)]


def payload_of(raw: bytes | None) -> bytes | None:
    """The encoded alert of an entry of the outbox."""
    return None if raw is None else str(unpack(raw)[3]).encode()
