"""Reading a topic of a real broker: everything once, in order, within bounds."""

import asyncio
import threading
import tomllib
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, codec
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
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
from tests.watching import DEADLINE_S, until


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


class NoText(str):
    """A header's name that no encoding has."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        """What clients in C and Go may write."""
        return b"\xff" + super().encode()


def test_a_header_whose_name_is_no_text_is_escaped(kafka: Broker) -> None:
    """Kafka takes any bytes. Nothing is lost or doubled around it, however the batch is packed."""
    topics.create(kafka.address, "header-no-text")

    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
            for packed in range(5):
                batch = producer.create_batch()
                batch._builder = _DefaultRecordBatchBuilderPy(2, packed, 0, -1, -1, -1, 9_999)
                for number, line in enumerate(lines_of(10, 10 * packed)):
                    headers = [("h", None), (NoText("n"), b"v")] if number in {3, 6} else []
                    batch.append(timestamp=None, key=None, value=line, headers=headers)
                await (await producer.send_batch(batch, "header-no-text", partition=0))

    asyncio.run(write())
    keeper = Keeper()
    read_all(feed_of(kafka.address, "header-no-text", max_lines=4), keeper, 50)
    assert keeper.values("header-no-text") == lines_of(50)
    headers = [one.headers for one in keeper.records[Shard("header-no-text", 0)] if one.headers]
    assert headers == [(("h", b""), (r"\xffn", b"v"))] * 10


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


class Slow(Keeper):
    """A store that takes its time."""

    def __init__(self) -> None:
        """It has one shard, and waits to be let go on."""
        super().__init__()
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.fences[Shard("t", 0)] = 9
        self.held.add(Shard("t", 0))

    def process(self, batch: PartitionBatch) -> None:
        """Keep the records, in the end."""
        self.begun.set()
        assert self.may_end.wait(DEADLINE_S)
        super().process(batch)


def test_a_shard_whose_batch_takes_too_long_is_let_go_of_behind_it() -> None:
    """Also where the group gives out nothing else: nobody delivers what is somebody else's by now."""
    keeper, shard = Slow(), Shard("t", 0)
    held_by_spare = []

    async def lose() -> None:
        feed = feed_of("nowhere", "t", drain_timeout_s=0.01)
        member = Member(feed, keeper, lambda: held_by_spare.append(set(keeper.held)))
        member.lanes.lanes[shard] = Lane(after=9, handed=9, position=30, end=30, answered_s=0.0)
        taken = asyncio.ensure_future(member.take(0, PartitionBatch(shard, 9, 29, [], at_end=False)))
        await asyncio.to_thread(keeper.begun.wait, DEADLINE_S)
        member.lanes.rebalances += 1
        await member.release()
        member.stand_by()
        assert keeper.held == {shard}
        keeper.may_end.set()
        await taken
        while not held_by_spare:  # noqa: ASYNC110  (said in another thread)
            await asyncio.sleep(0.01)
        assert not member.failed.done()

    asyncio.run(asyncio.wait_for(lose(), DEADLINE_S))
    assert held_by_spare == [set()]


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


def test_a_session_that_the_brokers_do_not_allow_is_said_so(kafka: Broker) -> None:
    """To wait would not mend it."""
    topics.create(kafka.address, "too-short")
    with pytest.raises(BadSetup, match=r"correct kafka\.session_timeout_s, or group\.min\.session"):
        run(feed_of(kafka.address, "too-short", session_timeout_s=0.5), Keeper(), Stop())


def test_a_group_of_another_program_is_said_so(kafka: Broker) -> None:
    """Its members and a worker would not agree on who reads what."""
    topics.create(kafka.address, "taken")

    async def join() -> None:
        other = AIOKafkaConsumer(
            "taken",
            group_id="taken-group",
            bootstrap_servers=kafka.address,
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        async with other:
            await asyncio.to_thread(run, feed_of(kafka.address, "taken"), Keeper(), Stop())

    with pytest.raises(BadSetup, match="another program uses the group"):
        asyncio.run(join())
