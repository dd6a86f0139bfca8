"""Where a shard is begun: at its fence, behind what retention took, nowhere if the log ends before it."""

import time
from datetime import UTC, datetime

import msgspec
import pytest

from detector.errors import Unavailable
from detector.inputs.kafka.beginning import beginning
from detector.inputs.kafka.feed import Begin, Shard
from detector.inputs.kafka.run import run
from tests.kafka_feeds import Keeper, Stop, feed_of, lines_of, read_all, running
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.watching import until


@pytest.mark.parametrize(
    ("fence", "first", "expected"),
    [
        (49, 0, Begin(after=49, fence=49)),  # in the middle
        (99, 0, Begin(after=99, fence=99)),  # at the end
        (9, 0, Begin(after=9, fence=9)),  # just before the start: nothing is lost
        (8, 0, Begin(after=9, fence=8, lost=1)),
        (-1, 0, Begin(after=9, fence=-1, lost=10)),
        (None, 0, Begin(after=9, fence=None)),
        (None, 50, Begin(after=49, fence=None)),
        (None, 200, Begin(after=99, fence=None)),
    ],
)
def test_a_shard_begins_behind_its_fence(fence: int | None, first: int, expected: Begin) -> None:
    """A log from 10 to 99 is read on from the fence, or from where retention left it."""
    assert beginning(Shard("t", 0), fence, range(10, 100), first) == expected


def test_a_fence_behind_the_log_stops_the_shard() -> None:
    """Nothing is read of a log that is not the one that the fence was made on."""
    reason = beginning(Shard("t", 3), 100, range(10, 100), 0)
    assert isinstance(reason, str)
    assert "tailrace shards reset t-3" in reason


def test_a_worker_goes_on_from_its_fences(kafka: Broker) -> None:
    """A second run reads what the first has not, and nothing again."""
    topics.create(kafka.address, "goes-on")
    feed, keeper = feed_of(kafka.address, "goes-on"), Keeper()
    for round_ in range(2):
        topics.produce(kafka.address, "goes-on", lines_of(120, 120 * round_))
        read_all(feed, keeper, 120 * (round_ + 1))
    assert keeper.values("goes-on") == lines_of(240)


def test_a_fence_that_went_back_is_read_again(kafka: Broker) -> None:
    """The fence is the truth: a store from yesterday gets yesterday's records, whatever the group says."""
    topics.create(kafka.address, "back")
    topics.produce(kafka.address, "back", lines_of(200))
    feed, keeper = feed_of(kafka.address, "back"), Keeper()
    read_all(feed, keeper, 200)
    older = Keeper()
    older.fences[Shard("back", 0)] = 99
    read_all(feed, older, 100)
    assert older.values("back") == lines_of(100, 100)


@pytest.mark.parametrize("start", ["latest", "earliest", "time"])
def test_a_shard_that_nobody_has_begun_begins_where_the_configuration_says(kafka: Broker, start: str) -> None:
    """Latest, earliest, or the first record that is not older than a time."""
    topic = f"start-{start}"
    topics.create(kafka.address, topic)
    topics.produce(kafka.address, topic, lines_of(10))
    now = datetime.now(UTC)
    until(lambda: datetime.now(UTC).timestamp() > now.timestamp() + 0.005)  # Kafka counts milliseconds
    topics.produce(kafka.address, topic, lines_of(10, 10))
    feed, keeper = feed_of(kafka.address, topic, start=now if start == "time" else start), Keeper()
    with running(feed, keeper) as worker:
        until(lambda: bool(keeper.begins) or worker.has_ended)
        topics.produce(kafka.address, topic, lines_of(10, 20))
        first = {"latest": 20, "earliest": 0, "time": 10}[start]
        until(lambda: keeper.count >= 30 - first or worker.has_ended)
    assert keeper.begins == [(Shard(topic, 0), Begin(after=first - 1, fence=None))]
    assert keeper.values(topic) == lines_of(30 - first, first)


def test_a_topic_of_our_own_is_begun_at_its_start_once(kafka: Broker) -> None:
    """Whatever the start of others: until the group has been there, its first record is read first."""
    topics.create(kafka.address, "whole")
    topics.produce(kafka.address, "whole", lines_of(10))
    feed, keeper = feed_of(kafka.address, "whole", start="latest", whole=frozenset({"whole"})), Keeper()
    read_all(feed, keeper, 10)
    assert keeper.values("whole") == lines_of(10)
    assert not keeper.begins[0][1].forgotten


@pytest.mark.parametrize("start", ["latest", "earliest"])
def test_a_store_that_forgot_its_fence_is_noticed(kafka: Broker, start: str) -> None:
    """The group remembers that somebody was here; what holds is the configured start, said aloud."""
    topic = f"forgotten-{start}"
    topics.create(kafka.address, topic)
    topics.produce(kafka.address, topic, lines_of(10))
    feed, keeper = feed_of(kafka.address, topic, whole=frozenset({topic})), Keeper()
    with running(feed, keeper) as worker:
        until(lambda: topics.committed(kafka.address, feed.group, topic) == 10 or worker.has_ended)
    emptied, feed = Keeper(), msgspec.structs.replace(feed, start=start)
    with running(feed, emptied) as worker:
        until(lambda: bool(emptied.begins) or worker.has_ended)
    after = {"latest": 9, "earliest": -1}[start]
    assert emptied.begins == [(Shard(topic, 0), Begin(after=after, fence=None, forgotten=True))]


def test_what_retention_took_is_counted_and_jumped_over(kafka: Broker) -> None:
    """Records that were deleted before they were read are reported as lost, and the rest is read."""
    topics.create(kafka.address, "retention")
    feed, keeper, shard = feed_of(kafka.address, "retention"), Keeper(), Shard("retention", 0)
    topics.produce(kafka.address, "retention", lines_of(100))
    keeper.fences[shard] = 19
    topics.delete_before(kafka.address, "retention", 0, 50)
    read_all(feed, keeper, 50)
    assert keeper.begins == [(shard, Begin(after=49, fence=19, lost=30))]
    assert keeper.values("retention") == lines_of(50, 50)


def test_a_topic_that_was_made_anew_stops_its_shard_alone(kafka: Broker) -> None:
    """A fence behind the end of the log says so; shards that are in order go on."""
    topics.create(kafka.address, "anew", partitions=2)
    topics.produce(kafka.address, "anew", lines_of(100), partition=0)
    feed, keeper = feed_of(kafka.address, "anew"), Keeper()
    read_all(feed, keeper, 100)
    topics.delete(kafka.address, "anew")
    topics.create(kafka.address, "anew", partitions=2)
    topics.produce(kafka.address, "anew", lines_of(50), partition=0)
    topics.produce(kafka.address, "anew", lines_of(50), partition=1)
    with running(feed, keeper) as worker:
        until(lambda: len(keeper.values("anew", 1)) == 50 or worker.has_ended)
        until(lambda: bool(keeper.reasons) or worker.has_ended)
    assert keeper.values("anew", 0) == lines_of(100)
    assert keeper.fences[Shard("anew", 0)] == 99
    assert "tailrace shards reset anew-0" in keeper.reasons[Shard("anew", 0)]


class Slow(Keeper):
    """A store whose fences cannot be read."""

    def __init__(self) -> None:
        """Block until a test lets go."""
        super().__init__()
        self.stop = Stop()

    def fence(self, shard: Shard) -> int | None:
        """Wait."""
        self.stop.event.wait()
        return super().fence(shard)


def test_fences_that_cannot_be_read_end_the_worker(kafka: Broker) -> None:
    """A worker that cannot begin does not sit in the group with shards that nobody reads."""
    topics.create(kafka.address, "no-fences")
    feed, keeper = feed_of(kafka.address, "no-fences", begin_timeout_s=0.5, drain_timeout_s=0.5), Slow()
    started_s = time.monotonic()
    with pytest.raises(Unavailable, match="fences could not be read"):
        run(feed, keeper, Stop())
    keeper.stop.event.set()
    assert time.monotonic() - started_s < 15


class Leisurely(Keeper):
    """A store that takes a while for each fence."""

    def fence(self, shard: Shard) -> int | None:
        """Wait a second."""
        Stop().wait(1.0)
        return super().fence(shard)


def test_many_shards_may_take_longer_than_one(kafka: Broker) -> None:
    """The bound is on the time in which nothing goes on, not on all shards in turn."""
    topics.create(kafka.address, "many-fences", partitions=6)
    topics.produce(kafka.address, "many-fences", lines_of(10))
    read_all(feed_of(kafka.address, "many-fences", begin_timeout_s=4.0), keeper := Leisurely(), 10)
    assert {shard.partition for shard, _ in keeper.begins} == set(range(6))
