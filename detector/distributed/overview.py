"""What every shard has come to: fence, log, lag, owner, time until retention. Talks to Kafka and Redis."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from detector.config import Settings
from detector.distributed.packs import Position
from detector.distributed.topics import retention_ms, router_group, scored
from detector.inputs.kafka import asking
from detector.inputs.kafka.beginning import beginning
from detector.inputs.kafka.connection import Connection, connection_at
from detector.inputs.kafka.feed import Shard
from detector.store.redis.nodes import Nodes
from detector.store.redis.written import read_fence

Does = Literal["score", "route"]


class ShardSeen(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="tailrace.shard/1"):
    """A shard at this moment. Offsets are Kafka's; a fence is the last offset whose effects are kept."""

    shard: str
    does: Does  # what a worker does with its lines: score, or route to the partition of their source
    fence: int | None  # None: nobody has begun it
    log_start: int
    log_end: int  # of what is committed; the next offset
    lag: int | None  # offsets behind the fence that are there to be read
    lost: int  # offsets behind the fence that retention has taken
    headroom: int | None  # offsets between the log's start and the fence
    headroom_s: float | None  # until retention may take the next one, if that can be told
    owner: asking.Owner | None
    stopped: str | None  # why it cannot be read


class Overview(msgspec.Struct, frozen=True):
    """All shards of a configuration."""

    shards: list[ShardSeen]
    missing: list[str]  # topics that are not there


def overview(settings: Settings, nodes: Nodes, now_s: float) -> Overview:
    """Every shard that a worker of this configuration reads.

    Raises:
        BadSetup: no brokers are named, or a right is missing.
        Unavailable: Kafka or Redis cannot be reached.
    """
    kafka, connection = settings.kafka, connection_at(settings.kafka)
    names = scored(settings)
    routed = () if settings.input.keyed else kafka.topics
    topics = asking.cluster(connection, {*names, *routed}).topics
    scores, routes = _shards(topics, names), _shards(topics, routed)
    prefix, owners = settings.redis.key_prefix, asking.group(connection, kafka.group).owners
    fences = {shard: _fence(nodes, prefix, shard) for shard in scores}
    seen = _look(connection, "score", topics, fences, owners, now_s)
    if routes:
        offsets = asking.group(connection, router_group(kafka)).offsets
        fences = {shard: offsets[shard] - 1 if shard in offsets else None for shard in routes}
        seen = _look(connection, "route", topics, fences, owners, now_s) + seen
    return Overview(seen, sorted({*names, *routed} - topics.keys()))


def _shards(topics: Mapping[str, asking.Topic], names: Iterable[str]) -> list[Shard]:
    there = (topics[name] for name in names if name in topics)
    return [Shard(topic.name, partition) for topic in there for partition in range(topic.partitions)]


def _fence(nodes: Nodes, prefix: str, shard: Shard) -> int | None:
    found = read_fence(nodes, prefix, str(shard))
    return None if found is None else msgspec.json.decode(found.fence, type=Position).offset


def _look(
    connection: Connection,
    does: Does,
    topics: Mapping[str, asking.Topic],
    fences: Mapping[Shard, int | None],
    owners: Mapping[Shard, asking.Owner],
    now_s: float,
) -> list[ShardSeen]:
    if not fences:
        return []
    logs = asking.logs(connection, fences)
    unread = {
        shard: max(fence + 1, logs[shard].start)
        for shard, fence in fences.items()
        if fence is not None
        and fence + 1 < logs[shard].stop
        and retention_ms(topics[shard.topic]) is not None
    }
    times = asking.first_times(connection, unread)
    return [
        _seen(
            shard,
            does,
            fence,
            logs[shard],
            _left_s(times.get(shard), topics[shard.topic], now_s),
            owners.get(shard),
        )
        for shard, fence in fences.items()
    ]


def _seen(
    shard: Shard, does: Does, fence: int | None, log: range, left_s: float | None, owner: asking.Owner | None
) -> ShardSeen:
    found = beginning(shard, fence, log, log.start)
    return ShardSeen(
        shard=str(shard),
        does=does,
        fence=fence,
        log_start=log.start,
        log_end=log.stop,
        lag=None if fence is None else max(0, log.stop - max(fence + 1, log.start)),
        lost=0 if isinstance(found, str) else found.lost,
        headroom=None if fence is None else max(0, fence + 1 - log.start),
        headroom_s=left_s,
        owner=owner,
        stopped=found if isinstance(found, str) else None,
    )


def _left_s(time_ms: int | None, topic: asking.Topic, now_s: float) -> float | None:
    """Until retention may take a record; the broker takes whole segments, so most often later."""
    kept_ms = retention_ms(topic)
    if time_ms is None or kept_ms is None:
        return None
    return round(max(0.0, (time_ms + kept_ms) / 1000 - now_s), 3)
