"""The rights that docs/kafka.md gives are enough, and none is superfluous."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from detector.distributed.there import newest
from detector.errors import BadSetup, Unavailable
from detector.inputs.kafka import undecided
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import Shard
from detector.inputs.kafka.forwarding import Forwarding
from detector.inputs.kafka.forwarding import Message as Forwarded
from detector.inputs.kafka.producing import Message, producing
from tests.kafka_feeds import Keeper, Running, read_all
from tests.kafka_logins import connection_to, feed_through
from tests.kafka_rights import LINES, RIGHTS, without
from tests.servers import topics
from tests.servers.kafka_guarded import Guarded, Right, forbid
from tests.watching import until


def read(connection: Connection, topic: str) -> list[bytes]:
    """What a worker reads of a topic of a hundred lines."""
    keeper = Keeper()
    read_all(feed_through(connection, topic), keeper, len(LINES))
    return keeper.values(topic)


def write(connection: Connection, topic: str) -> None:
    """Write as dead letters and scores are written."""

    async def written() -> None:
        async with producing(connection) as send:
            await send([Message(topic, None, b"score")])

    asyncio.run(written())


def route(connection: Connection) -> None:
    """Let the router forward a hundred lines."""
    shard, lines = Shard("logs", 0), [Forwarded(0, None, line, []) for line in LINES]
    with closing(Forwarding(feed_through(connection), "tailrace-routed")) as forwarding:
        forwarding.open(shard)
        forwarding.commit(shard, lines, len(LINES) - 1)
        forwarding.settle(shard)


@contextmanager
def opened_by_somebody(guarded: Guarded, group: str, shard: Shard) -> Iterator[None]:
    """Somebody else's transaction with an offset of this group."""
    part = TopicPartition(*shard)
    with asyncio.Runner() as runner:
        producer = runner.run(begun_by_somebody(guarded.broker.address, group, part))
        try:
            yield
        finally:
            runner.run(producer.abort_transaction())
            runner.run(producer.stop())


async def begun_by_somebody(address: str, group: str, part: TopicPartition) -> AIOKafkaProducer:
    """The producer that has begun it."""
    producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id="somebody")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_offsets_to_transaction({part: OffsetAndMetadata(1, "")}, group)
    return producer


def use(connection: Connection, right: Right) -> None:
    """Do what a right is for."""
    match right.operation, right.resource, right.name:
        case "READ", _, "logs" | "tailrace":
            read(connection, "logs")
        case "READ", "topic", topic:
            read(connection, topic)
        case _, _, "tailrace-dead-letters" | "tailrace-scores" as topic:
            write(connection, topic)
        case _:
            route(connection)


def test_the_documented_rights_are_enough(kafka_guarded: Guarded) -> None:
    """Logging in over TLS, a worker reads, routes, reports and sets the group's offsets."""
    connection, address = connection_to(kafka_guarded), kafka_guarded.broker.address
    assert read(connection, "logs") == LINES
    until(lambda: topics.committed(address, "tailrace", "logs") == len(LINES))
    route(connection)
    until(lambda: topics.committed(address, "tailrace-router", "logs") == len(LINES))
    assert LINES[0] in read(connection, "tailrace-routed")
    for topic in ("tailrace-dead-letters", "tailrace-scores"):
        write(connection, topic)


def test_the_documented_rights_are_enough_to_take_back_what_is_undecided(
    kafka_guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not ours to end, the commands that end it are named, and lines are left out after that."""
    monkeypatch.setattr(undecided, "ENDED_S", 0.1)
    connection = connection_to(kafka_guarded)
    route(connection)
    feed, shard = feed_through(connection), Shard("logs", 0)
    with (
        opened_by_somebody(kafka_guarded, "tailrace-router", shard),
        closing(Forwarding(feed, "tailrace-routed")) as forwarding,
        pytest.raises(Unavailable, match=r"find-hanging.*abort"),
    ):
        forwarding.open(shard)
    with closing(Forwarding(feed, "tailrace-routed")) as forwarding:
        fence, again_ms = forwarding.open(shard)
        assert fence == len(LINES) - 1
        assert again_ms is not None
        # A worker of another test may have routed lines of this shard; behind the fence there are none.
        found = newest(connection, "tailrace-routed", [shard], again_ms)[shard]
        assert max(found.values(), default=-1) <= fence
        forwarding.commit(shard, [], fence)
        forwarding.settle(shard)


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: " ".join(right[:3]))
def test_a_right_that_is_missing_is_named(
    kafka_guarded: Guarded, right: Right, caplog: pytest.LogCaptureFixture
) -> None:
    """None is superfluous, the sentence says who lacks which, and asyncio finds nothing to add to it."""
    connection = connection_to(kafka_guarded, user=without(right))
    resource = right.resource.replace("-", " ")
    sentence = f"user {without(right)} may not {right.operation} {resource} {right.name}.*docs/kafka.md"
    with pytest.raises(BadSetup, match=sentence):
        use(connection, right)
    gc.collect()
    assert [one.getMessage() for one in caplog.records if one.name == "asyncio"] == []


@pytest.mark.parametrize(("first", "age_s"), [("metadata", 0.02), ("fetch", 30.0)])
@pytest.mark.parametrize("right", RIGHTS[:2], ids=lambda right: " ".join(right[:3]))
def test_a_right_that_is_taken_away_ends_the_worker(
    kafka_guarded: Guarded, right: Right, first: str, age_s: float
) -> None:
    """It does not go on without a word, whichever question the broker refuses first."""
    user, keeper = f"dismissed-{right.resource}-{first}", Keeper()
    connection = connection_to(kafka_guarded, user=user)
    feed = msgspec.structs.replace(feed_through(connection), metadata_max_age_s=age_s)
    worker = Running(feed, keeper)
    try:
        until(lambda: keeper.count == len(LINES) or worker.has_ended)
        assert worker.error is None
        forbid(kafka_guarded.broker.address, user, right)
        until(lambda: worker.has_ended)
    finally:
        worker.stop()
    assert isinstance(worker.error, BadSetup)
    assert f"{user} may not READ {right.resource} {right.name}" in str(worker.error)


def test_a_user_who_may_write_nothing_is_told(kafka_guarded: Guarded) -> None:
    """The broker then refuses before it is asked for a topic."""
    with pytest.raises(BadSetup, match="user reader may not WRITE any topic"):
        write(connection_to(kafka_guarded, user="reader"), "tailrace-scores")
