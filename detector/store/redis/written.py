"""What the product has written to Redis, across all shards: its keys and its alerts. Talks to Redis."""

from collections.abc import Iterator

import msgspec

from detector.store.redis.keys import key, pattern, shard_and_part
from detector.store.redis.nodes import Nodes
from detector.store.redis.pack import unpack

_SCAN_COUNT = 1_000  # keys that one step looks at


class Written(msgspec.Struct, frozen=True):
    """One key of ours."""

    name: str
    shard: str
    part: str


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


def shards(nodes: Nodes, prefix: str) -> list[str]:
    """Every shard that has committed or enrolled."""
    return sorted({one.shard for one in written(nodes, prefix)})


def read_alerts(nodes: Nodes, prefix: str) -> list[bytes]:
    """Every alert's latest revision, encoded, in the order in which they opened."""
    found = []
    for shard in shards(nodes, prefix):
        alerts, outbox = key(prefix, shard, "alerts"), key(prefix, shard, "outbox")
        rows = nodes.ask(alerts, "HVALS", alerts)
        places = {row[1]: row[2][-1] for row in map(unpack, rows)}
        for first, place in places.items():
            payload = payload_of(nodes.ask(outbox, "HGET", outbox, place))
            if payload is not None:
                opened_at = msgspec.json.decode(payload, type=_Opened).opened_at
                found.append((opened_at or "", shard, first, payload))
    return [payload for *_, payload in sorted(found)]


def read_alert(nodes: Nodes, prefix: str, alert_id: str) -> bytes | None:
    """One alert's latest revision, encoded; None where it is not there."""
    for shard in shards(nodes, prefix):
        alerts, outbox = key(prefix, shard, "alerts"), key(prefix, shard, "outbox")
        row = nodes.ask(alerts, "HGET", alerts, alert_id)
        if row is not None:
            place = unpack(row)[2][-1]
            return payload_of(nodes.ask(outbox, "HGET", outbox, place))
    return None


def payload_of(raw: bytes | None) -> bytes | None:
    """The encoded alert of an entry of the outbox."""
    return None if raw is None else str(unpack(raw)[3]).encode()
