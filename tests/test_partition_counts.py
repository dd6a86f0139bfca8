"""Another number of partitions: the worker ends, says what it means, and goes on once it is confirmed."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from detector.config.options import RedisAt
from detector.distributed.by_topic import by_topic
from detector.distributed.counts import check, confirm
from detector.distributed.partitions import Partitions
from detector.distributed.routing import Router
from detector.errors import BadSetup
from detector.inputs.kafka.feed import Shard
from detector.shard.bundles import Bundles
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.topics import PartitionCount
from tests.kafka_feeds import Running, feed_of
from tests.places import Place
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.stores import shared_redis
from tests.watching import core_of, lines_of, until
from tests.workers import fences, have_come_to, working

SEED = 71
END_S = 20.0


@pytest.fixture
def redis() -> Server:
    """A server of this run."""
    return shared_redis()


def test_a_keyed_topic_that_grew_is_refused_until_confirmed(
    kafka: Broker, redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """At the next start, exit 2; once it is confirmed, the new partition is read from its start."""
    topic = "grew"
    more = f'start = "latest"\nkeyed = true\n[bundle]\npath = "{bundle}"'
    place = Place(tmp_path, kafka, redis, topic, more)
    topics.create(kafka.address, topic, partitions=1)
    with working(place.config, tmp_path / "first") as process:
        until(lambda: place.kept() == {topic, f"{topic}-0"} or process.poll() is not None)
        assert process.poll() is None
    topics.widen(kafka.address, topic, 2)
    topics.produce(kafka.address, topic, lines_of(SEED, 20), partition=1)
    with working(place.config, tmp_path / "second") as process:
        assert process.wait(END_S) == 2
    said = (tmp_path / "second").read_text()
    assert f"topic {topic} has 2 partitions, and had 1" in said
    assert "tailrace shards confirm" in said
    assert place.run("shards", "confirm").stdout == f"{topic}\t2 partitions\twas 1\n"
    with working(place.config, tmp_path / "third") as process:
        until(lambda: have_come_to(place.at, {f"{topic}-1": 19}) or process.poll() is not None)
        assert process.poll() is None
    assert place.run("purge", "--yes").returncode == 0
    assert place.kept() == set()


def test_a_keyed_topic_that_grows_ends_the_worker(
    kafka: Broker, redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """As soon as it is told of the new partition; nothing of that is begun."""
    topic = "grows"
    topics.create(kafka.address, topic)
    at, feed = RedisAt(url=redis.url, key_prefix=topic), feed_of(kafka.address, topic)
    counts = {topic: PartitionCount(1, 1)}
    with closing(store_at(at)) as store:
        core = core_of(bundle, tmp_path)
        partitions = Partitions(core, store, [], cache_sources=10, counts=counts)
        worker = Running(feed, partitions)
        until(lambda: fences(at) == {f"{topic}-0": -1} or worker.has_ended)
        topics.widen(kafka.address, topic, 3)
        until(lambda: worker.has_ended)
        worker.stop()
    assert isinstance(worker.error, BadSetup)
    # Of the two new partitions either may be taken first.
    assert re.search(rf"topic {topic} has at least [23] partitions, and had 1", str(worker.error))
    assert fences(at) == {f"{topic}-0": -1}


def test_topics_that_are_routed_grow_as_they_like(redis: Server) -> None:
    """What is new in them is begun at its start; the routed topic is held to its number."""
    with closing(nodes_at(RedisAt(url=redis.url))) as nodes:
        assert check(nodes, "free", {"logs": 2, "routed": 4}, ["routed"])["logs"] == PartitionCount(2, 2)
        assert check(nodes, "free", {"logs": 3, "routed": 4}, ["routed"])["logs"] == PartitionCount(3, 2)
        with pytest.raises(BadSetup, match="topic routed has 8 partitions, and had 4"):
            check(nodes, "free", {"logs": 3, "routed": 8}, ["routed"])
        assert confirm(nodes, "free", {"routed": 8}) == {"routed": 4}
        assert check(nodes, "free", {"routed": 8}, ["routed"])["routed"] == PartitionCount(8, 4)
        assert confirm(nodes, "free", {"routed": 2, "new": 1}) == {"routed": 8, "new": None}
        assert check(nodes, "free", {"routed": 2}, ["routed"])["routed"] == PartitionCount(2, 2)


def test_lines_are_routed_to_no_partition_that_is_not_confirmed(
    kafka: Broker, redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """The router refuses a routed topic that grew as soon as it takes a shard, and sends nothing there."""
    topic, routed = "regrown", "regrown-routed"
    topics.create(kafka.address, topic)
    topics.create(kafka.address, routed, partitions=3)
    core, at, feed = (
        core_of(bundle, tmp_path),
        RedisAt(key_prefix=topic, url=redis.url),
        feed_of(kafka.address, topic),
    )
    with closing(store_at(at)) as store:
        counts = {routed: PartitionCount(2, 2)}
        partitions = Partitions(core, store, [], cache_sources=10, counts=counts)
        with (
            by_topic(Bundles(core), feed, partitions, routed) as work,
            pytest.raises(BadSetup, match=r"regrown-routed has 3 partitions, and had 2.*shards confirm"),
        ):
            work.fence(Shard(topic, 0))


def test_a_routed_topic_that_grows_under_the_router_is_refused(
    kafka: Broker, bundle: Path, tmp_path: Path
) -> None:
    """At the next shard that it takes, though nobody has noted the number."""
    topic, routed = "outgrown", "outgrown-routed"
    topics.create(kafka.address, topic, partitions=2)
    topics.create(kafka.address, routed, partitions=3)
    feed = feed_of(kafka.address, topic)
    with closing(Router(core_of(bundle, tmp_path), feed, routed)) as router:
        router.fence(Shard(topic, 0))
        topics.widen(kafka.address, routed, 5)
        with pytest.raises(BadSetup, match="has 5 partitions, and had 3"):
            router.fence(Shard(topic, 1))
