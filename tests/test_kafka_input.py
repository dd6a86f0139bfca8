"""Reading a topic of a real broker: everything once, in order, within bounds."""

import asyncio
import tomllib
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, codec
from faust.serializers import codecs

from detector.errors import BadSetup, Stuck, Unavailable
from detector.inputs.kafka.app import build
from detector.inputs.kafka.cutting import cut
from detector.inputs.kafka.feed import KafkaRecord, PartitionBatch, Shard
from detector.inputs.kafka.lanes import Lane, Lanes
from detector.inputs.kafka.member import Member
from detector.inputs.kafka.run import run
from tests.kafka_feeds import Keeper, Stop, feed_of, lines_of, read_all, running
from tests.servers import topics
from tests.servers.kafka import Broker, free_ports
from tests.watching import until


def test_every_record_of_four_partitions_comes_once_and_in_order(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker reads all shards from their beginning to their end, and leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    topics.create(kafka.address, "four", partitions=4)
    for partition in range(4):
        topics.produce(kafka.address, "four", lines_of(500, 1000 * partition), partition=partition)
    keeper = Keeper()
    read_all(feed_of(kafka.address, "four"), keeper, 2000)
    for partition in range(4):
        assert keeper.values("four", partition) == lines_of(500, 1000 * partition)
        assert keeper.fences[Shard("four", partition)] == 499
    assert max(len(batch.records) for batch in keeper.batches) <= 50
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read(kafka: Broker, compression: str) -> None:
    """Every compression that producers use is understood."""
    topic = f"compressed-{compression}"
    topics.create(kafka.address, topic)
    topics.produce(kafka.address, topic, lines_of(300), compression=compression)
    keeper = Keeper()
    read_all(feed_of(kafka.address, topic), keeper, 300)
    assert keeper.values(topic) == lines_of(300)


def test_what_reads_compressed_records_comes_with_tailrace() -> None:
    """The client reads snappy, lz4 and zstd only where cramjam is installed, and does not ask for it."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert [name for name in project["dependencies"] if name.startswith("cramjam")]
    assert codec.has_snappy()
    assert codec.has_lz4()
    assert codec.has_zstd()


def test_one_topic_may_be_compressed_in_every_way(kafka: Broker) -> None:
    """Each producer chooses for itself."""
    topics.create(kafka.address, "compressed")
    for number, compression in enumerate([None, "gzip", "snappy", "lz4", "zstd"]):
        topics.produce(kafka.address, "compressed", lines_of(100, 100 * number), compression=compression)
    keeper = Keeper()
    read_all(feed_of(kafka.address, "compressed"), keeper, 500)
    assert keeper.values("compressed") == lines_of(500)


def test_records_come_as_they_were_written(kafka: Broker) -> None:
    """Without a value, with an empty one, with headers of one name, of no text, and without a value."""
    topics.create(kafka.address, "as-written")
    written: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (b"a", None, []),
        (None, b"", [("h", b"\xff\0"), ("h", b"")]),
        (b"\0", b"v", [("null", None)]),
    ]

    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
        await producer.start()
        for key, value, headers in written:
            await producer.send_and_wait("as-written", value, key=key, headers=headers)
        await producer.stop()

    asyncio.run(write())
    keeper = Keeper()
    read_all(feed_of(kafka.address, "as-written"), keeper, 3)
    records = keeper.records[Shard("as-written", 0)]
    whole = [(key, value, [(name, held or b"") for name, held in headers]) for key, value, headers in written]
    assert [(one.key, one.value, list(one.headers)) for one in records] == whole


def test_what_compaction_took_is_not_missed(kafka: Broker) -> None:
    """Offsets that are gone belong to the batch around them; what is left comes once."""
    topics.create(
        kafka.address,
        "compacted",
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.01",
    )

    async def write(count: int) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
        await producer.start()
        for number in range(count):
            await producer.send("compacted", b"%d" % number, key=b"%d" % (number % 7))
        await producer.stop()

    def compacted() -> bool:
        """The newest segment is left alone: each record more may begin another."""
        asyncio.run(write(1))
        return len(topics.offsets_of(kafka.address, "compacted")) < 150

    asyncio.run(write(150))
    until(compacted)
    asyncio.run(write(150))
    keeper, shard = Keeper(), Shard("compacted", 0)
    end = topics.log_of(kafka.address, "compacted").stop
    with running(feed_of(kafka.address, "compacted"), keeper) as worker:
        until(lambda: keeper.fences.get(shard) == end - 1 or worker.has_ended)
    offsets = [record.offset for record in keeper.records[shard]]
    assert offsets == sorted(set(offsets))
    assert set(topics.offsets_of(kafka.address, "compacted")) <= set(offsets)
    assert len(offsets) < end


def test_what_is_written_meanwhile_is_read_and_the_group_is_told(kafka: Broker) -> None:
    """A running worker sees new records, ticks where there are none, and sets the group's offset."""
    topics.create(kafka.address, "meanwhile")
    keeper, shard = Keeper(), Shard("meanwhile", 0)
    with running(feed_of(kafka.address, "meanwhile"), keeper) as worker:
        for round_ in range(3):
            topics.produce(kafka.address, "meanwhile", lines_of(100, 100 * round_))
            until(lambda: keeper.count == 100 * (round_ + 1) or worker.has_ended)  # noqa: B023  (called here)
        until(lambda: max(keeper.quiet_s[shard], default=0.0) > 0.5 or worker.has_ended)
        until(lambda: topics.committed(kafka.address, "meanwhile-group", "meanwhile") == 300)
    assert keeper.values("meanwhile") == lines_of(300)
    assert keeper.batches[-1].at_end


def test_only_committed_records_are_read(kafka: Broker) -> None:
    """What a transaction took back never arrives, and its marks neither hold up the fence nor the clock."""
    topics.create(kafka.address, "transactions")

    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id="writer")
        await producer.start()
        for number, keeps in enumerate([True, False, True]):
            await producer.begin_transaction()
            await producer.send_and_wait("transactions", b"%d" % number)
            await (producer.commit_transaction() if keeps else producer.abort_transaction())
        await producer.stop()

    asyncio.run(write())
    keeper, shard = Keeper(), Shard("transactions", 0)
    with running(feed_of(kafka.address, "transactions"), keeper) as worker:
        until(lambda: keeper.count == 2 or worker.has_ended)
        until(lambda: bool(keeper.quiet_s[shard]) or worker.has_ended)
        until(lambda: topics.committed(kafka.address, "transactions-group", "transactions") == 6)
    assert keeper.values("transactions") == [b"0", b"2"]
    assert keeper.fences[shard] in {4, 5}


def record_of(offset: int, value: bytes) -> KafkaRecord:
    """A record with nothing but a value."""
    return KafkaRecord(offset, 0, None, value, ())


def test_batches_stay_within_lines_and_bytes_and_leave_no_hole() -> None:
    """Each batch begins where the one before it ended; what is larger than a batch comes alone."""
    records = [record_of(at, b"x" * size) for at, size in [(3, 4), (4, 4), (7, 40), (8, 1), (9, 1), (10, 1)]]
    batches = list(cut(Shard("t", 0), 1, 12, records, at_end=True, max_lines=2, max_bytes=10))
    assert [(b.after, b.last, [r.offset for r in b.records], b.at_end) for b in batches] == [
        (1, 4, [3, 4], False),
        (4, 7, [7], False),
        (7, 9, [8, 9], False),
        (9, 12, [10], True),
    ]


def test_time_passes_only_as_far_as_the_broker_answers() -> None:
    """While nobody says that there is nothing more, a shard is not known to be quiet."""
    shard = Shard("t", 0)
    lanes = Lanes(begun=0, lanes={shard: Lane(after=9, handed=9, position=10, end=10, answered_s=100.0)})
    assert lanes.quiet_s(shard) == 0.0
    assert lanes.quiet_s(shard) == 0.0
    lanes.lanes[shard].answered_s = 102.5
    assert lanes.quiet_s(shard) == 2.5
    lanes.queue(PartitionBatch(shard, 9, 11, [], at_end=True))
    assert lanes.quiet_s(shard) is None


def test_a_hole_between_batches_ends_the_worker() -> None:
    """A batch that was dropped on its way is noticed at the next one, which is not processed."""
    keeper, shard = Keeper(), Shard("t", 0)

    async def take() -> None:
        member = Member(feed_of("nowhere", "t"), keeper)
        member.lanes.lanes[shard] = Lane(after=9, handed=19, position=30, end=30, answered_s=0.0)
        await member.take(0, PartitionBatch(shard, 19, 29, [], at_end=False))
        await member.failed

    with pytest.raises(Stuck, match="begins after 19, but 9 was the last one"):
        asyncio.run(take())
    assert keeper.batches == []


def test_a_batch_of_an_assignment_that_is_over_is_dropped() -> None:
    """What was queued before a rebalance is read again from the fence, not processed twice."""
    keeper, shard = Keeper(), Shard("t", 0)

    async def take() -> bool:
        member = Member(feed_of("nowhere", "t"), keeper)
        member.lanes.lanes[shard] = Lane(after=9, handed=9, position=10, end=30, answered_s=0.0)
        member.lanes.rebalances = 2
        await member.take(1, PartitionBatch(shard, 9, 29, [], at_end=False))
        return member.failed.done()

    assert not asyncio.run(take())
    assert keeper.batches == []


def test_no_codec_runs_code_of_a_message() -> None:
    """Faust's pickle codecs cannot be named once an app is built."""

    async def built() -> None:
        build(Member(feed_of("nowhere:9092", "t"), Keeper()))

    asyncio.run(built())
    assert not [name for name in codecs.codecs if "pickle" in name]
    with pytest.raises(LookupError):
        codecs.get_codec("pickle")


def test_kafka_that_is_not_there_is_said_so() -> None:
    """A worker that cannot reach any broker ends, and names what it tried."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(Unavailable, match=address):
        run(feed_of(address, "t"), Keeper(), Stop())


def test_a_topic_that_is_not_there_is_said_so(kafka: Broker) -> None:
    """Nobody waits for long for a topic whose name is misspelt."""
    with pytest.raises(BadSetup, match="has no topic missing"):
        run(feed_of(kafka.address, "missing"), Keeper(), Stop())
