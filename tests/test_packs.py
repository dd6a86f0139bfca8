"""Lines that are routed together: what is packed is what is opened, and each line has a number of its own."""

import random
import sys

import msgspec
import pytest

from detector.distributed import packs, routed
from detector.distributed.arrivals import Arrivals
from detector.distributed.packing import Packing
from detector.distributed.packs import MOST_LINES, Position
from detector.errors import BadRecord, BadSetup
from detector.inputs.kafka.feed import KafkaRecord, PartitionBatch, Shard
from detector.inputs.kafka.forwarding import Message
from detector.shard.intake import Intake
from tests.small_bundle import small_bundle
from tests.watching import core_of

FROM, TO = Shard("logs", 3), Shard("routed", 0)
ROOM = 4_000
PARTITIONS = 3


def record(offset: int, rng: random.Random) -> KafkaRecord:
    """A record with anything that one may have."""
    headers = [("trace", rng.randbytes(9)), ("tailrace-key", b"forged")][: rng.randrange(3)]
    key = rng.choice([None, b"", b"web-\xff", rng.randbytes(300)])
    return KafkaRecord(
        offset, rng.randrange(-1, 1 << 41), key, rng.randbytes(rng.randrange(900)), tuple(headers)
    )


def sent(
    records: list[KafkaRecord], rng: random.Random, *, more: bool
) -> tuple[list[Message], dict[int, list[int]]]:
    """The packs of records that go to partitions at random, and the offsets that went to each."""
    packing, went = Packing(FROM, ROOM, {}, more=more), dict[int, list[int]]()
    for one in records:
        partition = rng.randrange(PARTITIONS)
        assert packing.add(partition, one, one.value or b"", rng.choice([-1, 7]))
        went.setdefault(partition, []).append(one.offset)
    return packing.messages(), went


def read(messages: list[Message]) -> PartitionBatch:
    """The messages as records of one partition."""
    records = [
        KafkaRecord(offset, 5, one.key, one.value, tuple(one.headers)) for offset, one in enumerate(messages)
    ]
    return packs.numbered(PartitionBatch(TO, -1, len(records) - 1, records, at_end=True))


@pytest.fixture
def rng() -> random.Random:
    """Drawn anew in every run, and printed."""
    seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)


@pytest.fixture(scope="module")
def intake(tmp_path_factory: pytest.TempPathFactory) -> Intake:
    """Where records go."""
    path = tmp_path_factory.mktemp("bundle")
    small_bundle(path, session=False)
    core = core_of(path)
    return Intake(core.new_reader(), core.parser)


@pytest.mark.parametrize("more", [True, False], ids=["with more behind", "at the end"])
def test_a_line_of_a_pack_is_read_as_one_with_a_record_of_its_own(more: bool, rng: random.Random) -> None:
    """Whatever key, time, value and headers it has: the core sees the same, under the same number."""
    messages, went = sent([record(offset, rng) for offset in range(200)], rng, more=more)
    batch = read(messages)
    for one in batch.records:
        assert len(one.value or b"") < ROOM
        lines = [routed.read(TO, line) for line in packs.opened(one)]
        assert {line.feed for line in lines} == {"logs/3"}
        assert {line.more for line in lines} == {more}
        assert [line.record for line in lines] == packs.records_of(one, packs.pack_of(one))
    for partition, offsets in went.items():
        places = [
            line.record.place.partition(":")[0]
            for one, message in zip(batch.records, messages, strict=True)
            if message.partition == partition
            for line in map(routed.read, [TO] * MOST_LINES, packs.opened(one))
        ]
        assert places == [f"logs/3/{offset}" for offset in offsets]


def test_lines_are_numbered_in_their_order_and_numbers_are_fences() -> None:
    """Behind a whole record, and behind some lines of a pack."""
    fences = [Position(-1), Position(-1, 1), Position(-1, 9), Position(0), Position(0, 1), Position(70_000)]
    numbers = [packs.number_of(fence) for fence in fences]
    assert numbers == sorted(numbers)
    assert [packs.position_of(number) for number in numbers] == fences
    assert packs.offset_of(packs.number_of(Position(4, 1))) == 5
    assert msgspec.json.encode(Position(7)) == b'{"offset":7}'


def test_a_batch_of_packs_is_cut_between_them(rng: random.Random) -> None:
    """Parts follow each other, and hold no more lines than they may, or one pack."""
    batch = read(sent([record(offset, rng) for offset in range(400)], rng, more=False)[0])
    parts = list(packs.portions(batch, max_lines=30))
    assert len(parts) > 5
    assert [one.after for one in parts] == [batch.after, *(one.last for one in parts[:-1])]
    assert [one for part in parts for one in part.records] == batch.records
    assert [part.at_end for part in parts] == [*[False] * (len(parts) - 1), True]
    counts = [[packs.count_of(one) for one in part.records] for part in parts]
    assert all(sum(some) <= 30 or len(some) == 1 for some in counts)


def test_what_takes_no_pack_is_left_to_the_router(rng: random.Random) -> None:
    """A line that is larger than a message."""
    packing = Packing(FROM, ROOM, {}, more=False)
    assert not packing.add(0, KafkaRecord(0, 0, None, b"", ()), rng.randbytes(ROOM), -1)
    assert packing.messages() == []


def test_a_record_that_is_no_pack_is_put_aside_and_one_of_a_newer_release_ends_the_worker(
    intake: Intake,
) -> None:
    """What cannot be read costs one record; lines that only a newer release can read are not passed over."""
    [noise] = read([Message(0, None, b"\x93\x01noise", [(packs.LINES, b"3")])]).records
    with pytest.raises(BadRecord):
        packs.pack_of(noise)
    assert packs.opened(noise) == [noise]
    Arrivals(TO, [], 0.0).batch(intake, [noise], 0.0)
    assert [one.offset for one in intake.rejects] == [noise.offset]
    value = msgspec.msgpack.encode([packs.VERSION + 1, {"anything": "else"}])
    [newer] = read([Message(0, None, value, [(packs.LINES, b"3")])]).records
    with pytest.raises(BadSetup, match="newer"):
        packs.pack_of(newer)


@pytest.mark.parametrize("time_ms", [-1, 0, 9 * 10**18])
def test_a_time_that_no_calendar_has_is_none(time_ms: int) -> None:
    """Brokers before Kafka 4 take any number, and no state could hold it: the worker would end."""
    packing = Packing(FROM, ROOM, {}, more=False)
    packing.add(0, KafkaRecord(1, time_ms, None, b"line", ()), b"line", -1)
    [one] = read(packing.messages()).records
    [line] = packs.records_of(one, packs.pack_of(one))
    [alone] = packs.opened(one)
    unrouted = routed.record_of("logs", KafkaRecord(1, time_ms, None, b"line", ()))
    assert [found.time_us for found in (line, routed.read(TO, alone).record, unrouted)] == [None] * 3
