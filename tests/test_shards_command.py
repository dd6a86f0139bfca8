"""`tailrace shards`: how far every partition is, from the command line, against a Kafka and a Redis."""

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.json import encode as encode_json
from structlog.testing import capture_logs

from detector.distributed.packs import Position
from detector.distributed.partitions import Partitions
from detector.distributed.trials import Mark, encoded
from detector.inputs.kafka.asking import begin_anew
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import Shard
from detector.store.contract import Commit
from detector.store.redis.connect import store_at
from tests.kafka_feeds import Keeper, feed_of, lines_of, running
from tests.places import Place
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.small_bundle import small_bundle
from tests.watching import core_of, until
from tests.workers import fences

HOUR_MS = 3_600_000


def test_every_shard_shows_its_fence_log_lag_owner_and_headroom(
    kafka: Broker, redis: Server, tmp_path: Path
) -> None:
    """One is behind, one not begun, one has a log that ends before its fence, one has lost lines."""
    topic = "shards-all"
    topics.create(kafka.address, topic, partitions=4, retention_ms=str(HOUR_MS))
    for partition in (0, 2, 3):
        topics.produce(kafka.address, topic, lines_of(10), partition=partition)
    topics.delete_before(kafka.address, topic, 3, 8)
    place = Place(tmp_path, kafka, redis, topic)
    place.commit({f"{topic}-0": 5, f"{topic}-2": 10, f"{topic}-3": 4})
    feed, keeper = feed_of(kafka.address, topic, group=topic), Keeper()
    with running(feed, keeper) as worker:
        until(lambda: len(keeper.begins) == 4 or worker.has_ended)
        owned = place.shards()
        text = place.run("shards").stdout
    first = owned[f"{topic}-0"]
    assert (first["does"], first["fence"], first["log_start"], first["log_end"]) == ("score", 5, 0, 10)
    assert (first["lag"], first["lost"], first["headroom"], first["stopped"]) == (4, 0, 6, None)
    assert HOUR_MS / 1000 - 120 < first["headroom_s"] <= HOUR_MS / 1000
    assert first["owner"]["client"] == "tailrace"
    assert first["owner"]["host"] == "127.0.0.1"
    unbegun = owned[f"{topic}-1"]
    assert (unbegun["fence"], unbegun["lag"], unbegun["headroom_s"]) == (None, None, None)
    assert "tailrace shards reset shards-all-2" in owned[f"{topic}-2"]["stopped"]
    lost = owned[f"{topic}-3"]
    assert (lost["lost"], lost["lag"], lost["headroom"]) == (3, 2, 0)
    assert text.splitlines()[0].split()[:5] == ["SHARD", "DOES", "FENCE", "LOG", "LAG"]
    assert len(text.splitlines()) == 5
    assert "not begun" in text
    assert {one["owner"] for one in place.shards().values()} == {None}


def test_partitions_that_are_routed_have_their_fence_in_kafka(
    kafka: Broker, redis: Server, tmp_path: Path
) -> None:
    """What is routed is a shard too; a routed topic that is not there yet is named."""
    topic = "shards-routed"
    topics.create(kafka.address, topic, partitions=2)
    topics.produce(kafka.address, topic, lines_of(10))
    begin_anew(Connection(brokers=(kafka.address,)), f"{topic}-router", Shard(topic, 0), "latest")
    topics.produce(kafka.address, topic, lines_of(5))
    place = Place(tmp_path, kafka, redis, topic, 'start = "earliest"')
    assert f"there is no topic {topic}-routed" in place.run("shards").stderr
    topics.create(kafka.address, f"{topic}-routed", partitions=3)
    found = place.shards()
    assert list(found) == [*(f"{topic}-{n}" for n in range(2)), *(f"{topic}-routed-{n}" for n in range(3))]
    routing = found[f"{topic}-0"]
    assert (routing["does"], routing["fence"], routing["lag"]) == ("route", 9, 5)
    assert found[f"{topic}-routed-0"]["does"] == "score"
    with closing(store_at(place.at)) as store:
        store.set_mark(f"{topic}-0", encoded(Mark(9, 0, aside=(5,))))
        assert place.run("shards", "reset", f"{topic}-0").returncode == 0
        assert store.mark(f"{topic}-0") is not None
        keeper = Keeper()
        with running(feed_of(kafka.address, f"{topic}-routed", group=topic), keeper) as worker:
            until(lambda: bool(keeper.begins) or worker.has_ended)
            refused = place.run("shards", "reset", f"{topic}-0", "--yes")
        assert (refused.returncode, place.shards()[f"{topic}-0"]["fence"]) == (2, 9)
        assert f"1 worker of the group {topic}" in refused.stderr
        reset = place.run("shards", "reset", f"{topic}-0", "--yes")
        assert store.mark(f"{topic}-0") is None
    assert (reset.returncode, place.shards()[f"{topic}-0"]["lag"]) == (0, 15)
    assert "routed from offset 0 on" in reset.stderr


def test_a_shard_that_is_reset_begins_anew(kafka: Broker, redis: Server, tmp_path: Path) -> None:
    """Without --yes nothing changes; other shards never do, and one that is not there is named."""
    place = Place(tmp_path, kafka, redis, "reset-one")
    place.commit({"reset-one-0": 5, "reset-one-1": 5, "reset-one-11": 5})
    before = place.kept()
    said = place.run("shards", "reset", "reset-one-1")
    assert (said.returncode, place.kept()) == (0, before)
    assert "--yes removes them" in said.stderr
    assert place.run("shards", "reset", "reset-one-1", "--yes").returncode == 0
    with closing(store_at(place.at)) as store:
        assert (store.fence("reset-one-1"), store.all_states("reset-one-1")) == (None, {})
        assert store.all_states("reset-one-0") == store.all_states("reset-one-11") == {"web": b"1"}
    missing = place.run("shards", "reset", "reset-one-7", "--yes")
    assert missing.returncode == 2
    assert (
        "nothing is kept of reset-one-7: there are reset-one-0, reset-one-1, reset-one-11" in missing.stderr
    )


@pytest.mark.parametrize("is_routed", [True, False], ids=["routed", "keyed"])
def test_a_worker_begins_a_shard_that_was_reset_where_the_command_says(
    kafka: Broker, redis: Server, tmp_path: Path, is_routed: bool
) -> None:
    """Though the group still knows of what was before: nobody takes it for a fence that was lost."""
    topic = f"begins-{'routed' if is_routed else 'keyed'}"
    read = f"{topic}-routed" if is_routed else topic
    place = Place(tmp_path, kafka, redis, topic, "keyed = false" if is_routed else "keyed = true")
    topics.create(kafka.address, read)
    topics.produce(kafka.address, read, lines_of(20))
    core = core_of(small_bundle(tmp_path / "bundle", session=False).path)
    shard = Shard(read, 0)
    feed = feed_of(
        kafka.address, read, group=topic, start="latest", whole=frozenset([read] if is_routed else [])
    )
    with closing(store_at(place.at)) as store:
        store.commit(Commit(str(shard), 0, core.bundle.id, encode_json(Position(9)), b"", {}, {}, [], []))
        for expected in (10, 20 if is_routed else 0):
            with capture_logs() as said:
                work = Partitions(core, store, [], cache_sources=9)
                with running(feed, work) as worker:
                    until(lambda: fences(place.at).get(str(shard)) == 19 or worker.has_ended)
                    until(lambda: topics.committed(kafka.address, topic, read) == 20 or worker.has_ended)
                    lines = sum(one.counts.lines for one in work.works.values())
                assert lines == expected
            assert not any("lost its fence" in one["event"] for one in said)
            done = place.run("shards", "reset", str(shard), "--yes")
            assert ("at its start" if is_routed else "at end (input.start)") in done.stderr


@pytest.mark.parametrize(
    "words", [("shards",), ("shards", "confirm"), ("topics", "show"), ("topics", "create")]
)
def test_a_broker_that_is_away_is_exit_4(redis: Server, tmp_path: Path, words: tuple[str, ...]) -> None:
    """At once: a person waits."""
    place = Place(tmp_path, Broker(tmp_path), redis, "away")
    done = place.run(*words)
    assert done.returncode == 4
    assert done.stderr.startswith("tailrace: Kafka at 127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1
