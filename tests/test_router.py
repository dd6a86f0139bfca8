"""The router: every line once and in order in the partition of its source, whatever happens to routers."""

import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from structlog.testing import capture_logs

from detector.distributed.arrivals import Arrivals
from detector.distributed.letters import Keeping, addressed
from detector.distributed.packs import opened
from detector.distributed.routed import CUT, MARK, MORE, ORIGIN, headers_of
from detector.distributed.routing import CUT_BYTES, REREAD, Router, _size
from detector.errors import Fenced
from detector.inputs.kafka.feed import Begin, KafkaRecord, PartitionBatch, Shard
from detector.inputs.kafka.forwarding import partition_of, room
from detector.pipeline import Batch
from detector.records import DeadLetter, Record
from detector.shard.core import Core
from detector.shard.intake import Intake
from tests.kafka_feeds import Running, feed_of
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.watching import core_of, lines_of, until

ROUTED, T = 3, 1_767_225_600_000
POINTS = ["before", "sent", "committed"]  # of a transaction


@pytest.fixture(scope="module")
def core(bundle: Path) -> Core:
    """The core of that bundle."""
    return core_of(bundle)


def lines(count: int = 3000) -> list[bytes]:
    """What is to be routed."""
    return [line.rstrip(b"\n") for line in lines_of(8, count)]


def record(offset: int, value: bytes, key: bytes | None = None) -> KafkaRecord:
    """A record as the feed hands it over."""
    return KafkaRecord(offset, T, key, value, ())


def created(kafka: Broker, topic: str, partitions: int = 1, **config: str) -> str:
    """Make a topic, and one that it is routed to, whose name is the answer."""
    topics.create(kafka.address, topic, partitions=partitions)
    topics.create(kafka.address, f"{topic}-routed", partitions=ROUTED, **config)
    return f"{topic}-routed"


class Sent(NamedTuple):
    """A line that was routed, as if it had a record of its own."""

    partition: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int


def routed_lines(kafka: Broker, routed: str) -> list[Sent]:
    """What was routed, without marks, partition by partition."""
    records = topics.read_committed(kafka.address, routed, ROUTED)
    return [
        Sent(one.partition, line.key, line.value or b"", line.headers, line.time_ms)
        for one in records
        if MARK not in dict(one.headers)
        for line in opened(KafkaRecord(0, one.timestamp, one.key, one.value, tuple(one.headers)))
    ]


def begun(router: Router, shard: Shard, reread: int = REREAD) -> int:
    """Let a router take a shard from its fence; where its batches are to begin."""
    fence = router.fence(shard)
    after = -1 if fence is None else max(fence - reread, -1)
    router.begin(shard, Begin(after, fence))
    return after


def batch_of(shard: Shard, after: int, records: Sequence[KafkaRecord]) -> PartitionBatch:
    """Records that follow an offset."""
    return PartitionBatch(shard, after, after + len(records), list(records), at_end=True)


def arrived(core: Core, records: Iterable[Sent]) -> tuple[Batch, list[DeadLetter]]:
    """What a worker makes of routed records, as if they were all in one partition."""
    shard = Shard("routed", 0)
    intake = Intake(core.new_reader(), core.parser)
    kept = [
        KafkaRecord(offset, one.timestamp, one.key, one.value, one.headers)
        for offset, one in enumerate(records)
    ]
    batch = Arrivals(shard, [], 0.0).batch(intake, kept, 0.0)
    return batch, addressed(shard, intake.rejects, kept, Keeping(routed_topic="routed"))


def by_source(values: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Lines by the host that wrote them."""
    found = defaultdict(list)
    for value in values:
        found[value.split()[1]].append(value)
    return dict(found)


def test_a_router_that_is_killed_anywhere_loses_doubles_and_disorders_nothing(
    kafka: Broker, bundle: Path, tmp_path: Path
) -> None:
    """Kill -9 before, in and after transactions: whoever reads what is committed sees every line once."""
    seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    rng, topic = random.Random(seed), "router-killed"
    routed, log = created(kafka, topic), tmp_path / "log"
    log.write_bytes(b"".join(line + b"\n" for line in lines()))
    points = [*rng.sample(POINTS, 3), rng.choice(POINTS), "never"]
    for point in points:
        sys.stdout.write(f"{point}\n")
        cut, commit = rng.randrange(1 << 32), rng.randrange(1, 5)
        words = [kafka.address, topic, routed, bundle, log, cut, commit, point]
        command = [sys.executable, "-m", "tests.router_process", *map(str, words)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == (0 if point == "never" else -9), done.stderr.decode()
    records = routed_lines(kafka, routed)
    assert by_source(one.value for one in records) == by_source(lines())
    assert all(one.partition == partition_of(one.value.split()[1], ROUTED) for one in records)
    assert topics.committed(kafka.address, f"{topic}-group-router", topic) == len(lines())


def test_a_router_whose_shard_was_taken_can_write_no_more(kafka: Broker, core: Core) -> None:
    """A zombie is fenced at its next transaction, and what it had sent is not read."""
    topic = "router-zombie"
    routed, shard, feed = created(kafka, topic), Shard(topic, 0), feed_of(kafka.address, topic)
    records = [record(offset, line) for offset, line in enumerate(lines()[:60])]
    with closing(Router(core, feed, routed)) as first, closing(Router(core, feed, routed)) as second:
        assert begun(first, shard) == -1
        first.process(batch_of(shard, -1, records[:20]))
        assert begun(second, shard, reread=0) == 19
        first.process(batch_of(shard, 19, records[20:40]))
        with pytest.raises(Fenced):
            first._forwarding.settle(shard)
        second.process(batch_of(shard, 19, records[20:]))
    found = [one.value for one in routed_lines(kafka, routed)]
    assert by_source(found) == by_source(lines()[:60])


def test_routers_that_share_the_partitions_route_every_line_once(kafka: Broker, core: Core) -> None:
    """One joins while lines are routed, and leaves again."""
    topic, partitions, each = "router-shared", 4, 300
    routed, feed = created(kafka, topic, partitions), feed_of(kafka.address, topic, reread=REREAD)
    values = {
        p: [line.replace(b" web-", b" p%d-" % p) for line in lines(3 * each)] for p in range(partitions)
    }

    def produce(part: int) -> None:
        for partition, some in values.items():
            taken = some[part * each : (part + 1) * each]
            topics.produce(kafka.address, topic, taken, partition=partition)

    with closing(Router(core, feed, routed)) as one, closing(Router(core, feed, routed)) as other:
        produce(0)
        first = Running(feed, one)
        until(lambda: one.lines > 100 or first.has_ended)
        second = Running(feed, other)
        until(lambda: len(other._fences) == partitions // 2 or first.has_ended or second.has_ended)
        produce(1)
        until(lambda: other.lines > 100 or first.has_ended or second.has_ended)
        second.stop()
        produce(2)
        total = 3 * each * partitions
        until(lambda: one.lines + other.lines == total or first.has_ended)
        first.stop()
        assert (first.error, second.error) == (None, None)
        assert one.lines + other.lines == total
    found = by_source(record.value for record in routed_lines(kafka, routed))
    assert found == by_source(line for some in values.values() for line in some)


def test_what_continues_a_line_before_a_restart_goes_to_its_source(kafka: Broker, core: Core) -> None:
    """The frames of a stack trace follow their line, though another router has routed that."""
    topic = "router-trace"
    routed, shard, feed = created(kafka, topic), Shard(topic, 0), feed_of(kafka.address, topic)
    frames = [b"java.lang.IllegalStateException: no", b"    at org.app.Main.run(Main.java:12)"]
    values = [*lines()[:8], frames[0], frames[1], frames[1]]
    records = [record(offset, value) for offset, value in enumerate(values)]
    with closing(Router(core, feed, routed)) as first:
        begun(first, shard)
        first.process(batch_of(shard, -1, records[:9]))
    with closing(Router(core, feed, routed)) as second:
        after = begun(second, shard)
        second.process(batch_of(shard, after, records[after + 1 :]))
    found = routed_lines(kafka, routed)
    assert len(found) == len(values)
    host = values[7].split()[1]
    assert [one.partition for one in found if one.value in frames] == [partition_of(host, ROUTED)] * 3
    batch, _ = arrived(core, found)
    assert [line.source for line in batch.lines if line.continuation] == [host.decode()] * 3


def test_the_logs_of_one_record_go_to_their_sources(kafka: Broker, core: Core) -> None:
    """OTLP in JSON and protobuf, of three services: taken apart, and named by where people find them."""
    topic = "router-otlp"
    routed, shard, feed = created(kafka, topic), Shard(topic, 0), feed_of(kafka.address, topic)
    batch = {"resourceLogs": [_resource(name, 2) for name in ("cart", "pay", "ship")]}
    values = [in_json(batch), in_protobuf(batch), in_json({"resourceLogs": [_resource("cart", 3)]})]
    with closing(Router(core, feed, routed)) as router:
        begun(router, shard)
        router.process(batch_of(shard, -1, [record(n, value) for n, value in enumerate(values)]))
    found = routed_lines(kafka, routed)
    assert [one.value for one in found].count(values[2]) == 1  # of one source: as it is
    assert len(found) == 6 + 6 + 1
    directly = Intake(core.new_reader(), core.parser).of_feed(
        "", [Record(topic, value, offset, offset + 1, T * 1000) for offset, value in enumerate(values)]
    )
    taken, _ = arrived(core, found)
    assert len(taken.lines) == 15
    assert {
        (f"{topic}/0/{line.position}", line.source, line.message, line.time_us) for line in directly.lines
    } == {(line.position, line.source, line.message, line.time_us) for line in taken.lines}


def in_json(batch: Mapping[str, object]) -> bytes:
    """A batch as the collector writes it with `otlp_json`."""
    return json.dumps(batch).encode()


def in_protobuf(batch: Mapping[str, object]) -> bytes:
    """The same with `otlp_proto`."""
    encoded: bytes = ParseDict(dict(batch), ExportLogsServiceRequest()).SerializeToString()
    return encoded


def _resource(name: str, count: int) -> dict[str, object]:
    logs = [
        {"timeUnixNano": str(1_767_225_600_000_000_000 + n), "body": {"stringValue": f"{name} is done {n}"}}
        for n in range(count)
    ]
    named = {"attributes": [{"key": "service.name", "value": {"stringValue": name}}]}
    return {"resource": named, "scopeLogs": [{"scope": {"name": "app"}, "logRecords": logs}]}


def test_a_record_that_the_routed_topic_does_not_take_is_put_aside(kafka: Broker, core: Core) -> None:
    """Its beginning is routed, and the worker puts that aside under the offset that it came from."""
    topic = "router-oversize"
    routed, shard = created(kafka, topic, max_message_bytes="4000"), Shard(topic, 0)
    good, noise = lines()[:2], random.Random(1).randbytes(9000).hex().encode()
    values = [good[0], b"%b %b" % (good[0][:-1], noise), good[1]]
    with closing(Router(core, feed_of(kafka.address, topic), routed)) as router:
        begun(router, shard)
        router.process(batch_of(shard, -1, [record(n, value) for n, value in enumerate(values)]))
    found = routed_lines(kafka, routed)
    assert sorted(one.value for one in found if CUT not in dict(one.headers)) == sorted(good)
    batch, [letter] = arrived(core, found)
    assert len(batch.lines) == 2
    assert (letter.place, letter.size) == (f"{topic}/0/1", len(values[1]))
    assert f"record of {len(values[1])} bytes" in letter.reason


def test_headers_and_keys_that_the_routed_topic_does_not_take_are_left_out(kafka: Broker, core: Core) -> None:
    """The line itself is routed whole, to the partition of its source, and the next one follows it."""
    topic, noise = "router-headers", random.Random(2).randbytes(9000)
    routed, shard = created(kafka, topic, max_message_bytes="10000"), Shard(topic, 0)
    values = [line + b" " + b"x" * 3000 for line in lines()[:3]]
    records = [
        KafkaRecord(0, T, None, values[0], (("h", noise),)),
        KafkaRecord(1, T, noise, values[1], ()),
        record(2, values[2]),
    ]
    with closing(Router(core, feed_of(kafka.address, topic), routed)) as router:
        begun(router, shard)
        router.process(batch_of(shard, -1, records))
    found = routed_lines(kafka, routed)
    assert sorted(one.value for one in found) == sorted(values)
    batch, letters = arrived(core, found)
    assert (len(batch.lines), letters) == (3, [])


@pytest.mark.parametrize("max_message_bytes", [10_000, 1_048_588, 5_000_000])
def test_what_is_as_large_as_may_be_is_taken(kafka: Broker, core: Core, max_message_bytes: int) -> None:
    """Whole where it just fits, cut where it is a byte longer, though it cannot be packed."""
    topic = f"router-bound-{max_message_bytes}"
    routed = created(kafka, topic, max_message_bytes=str(max_message_bytes))
    shard, noise = Shard(topic, 0), random.Random(3).randbytes(max_message_bytes)
    with closing(Router(core, feed_of(kafka.address, topic), routed)) as router:
        begun(router, shard)
        bare = router._message(
            shard, record(0, b""), "web", b"", headers_of(shard, record(0, b""), more=False)
        )
        fits = room(max_message_bytes) - _size(bare.key or b"", b"", bare.headers)
        sent = [
            router._message(shard, record(0, noise), "web", noise[:length], bare.headers)
            for length in (fits, fits + 1)
        ]
        router._commit(shard, sent, 0)
    sizes = [len(one.value) for one in routed_lines(kafka, routed)]
    assert sizes == [fits, CUT_BYTES]


def test_what_cannot_be_read_is_put_aside_by_the_worker(kafka: Broker, core: Core) -> None:
    """The router forwards it under its key; who reads it there finds where it came from."""
    topic = "router-rejects"
    routed, shard = created(kafka, topic), Shard(topic, 0)
    records = [record(0, b'{"a": '), record(1, b""), record(2, lines()[0], key=b"file.log")]
    with closing(Router(core, feed_of(kafka.address, topic), routed)) as router:
        begun(router, shard)
        router.process(batch_of(shard, -1, records))
    found = routed_lines(kafka, routed)
    assert {dict(one.headers)[ORIGIN] for one in found} == {f"{topic}/0/{n}".encode() for n in (0, 2)}
    batch, [letter] = arrived(core, found)
    assert [(line.origin, line.position) for line in batch.lines] == [("file.log", f"{topic}/0/2")]
    assert (letter.place, letter.value, letter.time_ms) == (f"{topic}/0/0", records[0].value, T)


@pytest.mark.parametrize("is_begun", [True, False], ids=["while read", "at a start"])
def test_nobody_waits_for_a_partition_that_cannot_be_read(kafka: Broker, core: Core, is_begun: bool) -> None:
    """Every routed partition is told that no more comes, also by a router that has never read of it."""
    topic = f"router-stopped-{is_begun}"
    routed, shard, feed = created(kafka, topic), Shard(topic, 0), feed_of(kafka.address, topic)
    batch = PartitionBatch(shard, -1, 0, [record(0, lines()[0])], at_end=False)
    with closing(Router(core, feed, routed)) as first, closing(Router(core, feed, routed)) as second:
        begun(first, shard)
        first.process(batch)
        assert _with_more(kafka, routed) == set(range(ROUTED))
        if is_begun:
            first.stopped(shard, "gone")
        else:
            second.fence(shard)
            second.stopped(shard, "gone")
    assert _with_more(kafka, routed) == set()
    assert topics.committed(kafka.address, f"{topic}-group-router", topic) == 1


def _with_more(kafka: Broker, routed: str) -> set[int]:
    """The routed partitions whose newest record says that there is more."""
    records = topics.read_committed(kafka.address, routed, ROUTED)
    newest = {one.partition: one for one in sorted(records, key=lambda one: int(one.offset))}
    return {partition for partition, one in newest.items() if MORE in dict(one.headers)}


def test_lines_that_retention_took_before_they_were_routed_are_logged(kafka: Broker, core: Core) -> None:
    """With the partition and their number, and routing goes on behind the hole."""
    topic = "router-lost"
    routed, shard = created(kafka, topic), Shard(topic, 0)
    with closing(Router(core, feed_of(kafka.address, topic), routed)) as router:
        begun(router, shard)
        router.process(batch_of(shard, -1, [record(0, lines()[0])]))
        router.fence(shard)
        with capture_logs() as said:
            router.begin(shard, Begin(after=40, fence=0, lost=40))
    assert [(one["shard"], one["lines"]) for one in said] == [(f"{topic}-0", 40)]
    assert topics.committed(kafka.address, f"{topic}-group-router", topic) == 41


def test_a_batch_that_would_grow_too_much_goes_whole(kafka: Broker, core: Core) -> None:
    """To the partition of its first log's source, with every log in it."""
    topic = "router-growing"
    routed, shard = created(kafka, topic), Shard(topic, 0)
    batch = {"resourceLogs": [_resource(name, 100) for name in ("cart", "pay")]}
    batch["resourceLogs"][0]["schemaUrl"] = "x" * 700_000
    value = in_json(batch)
    with closing(Router(core, feed_of(kafka.address, topic), routed)) as router:
        begun(router, shard)
        router.process(batch_of(shard, -1, [record(0, value)]))
    [found] = routed_lines(kafka, routed)
    assert (found.key, found.value) == (b"cart", value)
    assert len(arrived(core, [found])[0].lines) == 200
