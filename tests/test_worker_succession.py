"""`tailrace worker` takes up a bundle while lines flow, is killed in between, and comes to the same."""

import random
import signal
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from detector.config.options import RedisAt
from detector.distributed.partitions import Partitions
from detector.inputs.kafka.feed import Begin, KafkaRecord, PartitionBatch, Shard
from detector.records import Record
from detector.shard.core import Core
from detector.stages.judge.state import decode
from detector.store.redis.connect import store_at
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.succession import Run, Two, records_of
from tests.watching import until
from tests.workers import (
    Revisions,
    States,
    come_to,
    comparable,
    configured,
    have_come_to,
    partition_of,
    said,
    spread,
    told,
    working,
)

SEED, PARTITIONS = 61, 2
LINES, AT, PIECE = 3_000, 1_000, 100
END_S = 10.0


def test_a_worker_takes_up_a_bundle_while_lines_flow(kafka: Broker, redis: Server, tmp_path: Path) -> None:
    """No line is lost or told twice: the states and revisions are those of a run without Kafka or a crash."""
    sys.stdout.write(f"seed {SEED}\n")
    rng, topic, errors = random.Random(SEED), "worker-succession", tmp_path / "errors"
    two, lines = Two.made(tmp_path, session=False), [one.value for one in records_of(SEED, LINES)]
    link = tmp_path / "bundle"
    link.symlink_to(two.old.where)
    topics.create(kafka.address, topic, partitions=PARTITIONS)
    at = RedisAt(url=redis.url, key_prefix=topic)
    config = configured(
        tmp_path / "tailrace.toml",
        bundle=link, broker=kafka.address, topic=topic, redis=redis.url,
    )  # fmt: skip
    config.write_text(config.read_text().replace("[bundle]", "[bundle]\npoll_s = 0.1"))
    ends: dict[str, int] = defaultdict(int)

    def send(some: Sequence[bytes]) -> None:
        counts = spread(kafka.address, topic, some, session=False, partitions=PARTITIONS)
        for partition, count in counts.items():
            ends[f"{topic}-{partition}"] += count

    def is_done() -> bool:
        return have_come_to(at, {shard: end - 1 for shard, end in ends.items()})

    send(lines[:AT])
    with working(config, errors) as process:
        until(lambda: is_done() or process.poll() is not None)
        (tmp_path / "next").symlink_to(two.new.where)
        (tmp_path / "next").rename(link)
        until(lambda: len(said(errors, "taking up bundle")) == PARTITIONS or process.poll() is not None)
        send(lines[AT : AT + PIECE])
        until(lambda: is_done() or process.poll() is not None)
        process.kill()
    pieces = range(AT + PIECE, LINES, PIECE)
    for begin in pieces:
        send(lines[begin : begin + PIECE])
        if rng.random() < 0.1 and begin != pieces[-1]:
            with working(config, errors) as process:
                until(lambda: is_done() or process.poll() is not None)
                process.kill()
    with working(config, errors) as process:
        until(lambda: is_done() or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) == 0
    states, revisions = _undisturbed(two, lines, tmp_path)
    assert {one["bundle"] for one in revisions.values()} == {two.old.bundle.id, two.new.bundle.id}
    assert come_to(at, two.new) == (states, revisions)
    assert len(said(errors, "taking up bundle")) == PARTITIONS
    assert len(said(errors, "bundle taken up")) == PARTITIONS


@pytest.mark.parametrize("lost", [0, 10])
def test_a_shard_begins_again_although_its_older_bundle_is_gone(
    redis: Server, tmp_path: Path, lost: int
) -> None:
    """Cold, also where retention has taken lines meanwhile."""
    two, shard = Two.made(tmp_path, session=False), Shard("logs", 0)
    at = RedisAt(url=redis.url, key_prefix=f"gone-{lost}")
    records = [KafkaRecord(one.offset, 0, None, one.value, ()) for one in records_of(SEED, 300)]

    def work(core: Core, begin: Begin, end: int) -> str:
        with closing(store_at(at)) as store:
            partitions = Partitions(core, store, [], cache_sources=9)
            assert partitions.fence(shard) == begin.fence
            partitions.begin(shard, begin)
            some = records[begin.after + 1 : end]
            partitions.process(PartitionBatch(shard, begin.after, end - 1, some, at_end=False))
            assert partitions.works[shard].counts.lines == len(some)
            fence = store.fence(str(shard))
        assert fence is not None
        return fence.bundle

    assert work(two.old, Begin(-1, None), 100) == two.old.bundle.id
    assert work(two.new, Begin(99, 99), 110) == f"{two.old.bundle.id}>{two.new.bundle.id}"
    two.old.where.rename(tmp_path / "moved")
    assert work(two.new, Begin(109 + lost, 109, lost), 300) == two.new.bundle.id
    states, _ = come_to(at, two.new)
    assert len(states) == len({_host(record.value or b"") for record in records[lost and 110 + lost :]})


def _host(line: bytes) -> bytes:
    return line.split()[1]


def _undisturbed(two: Two, lines: Sequence[bytes], folder: Path) -> tuple[States, Revisions]:
    """What each partition comes to."""
    states: States = {}
    revisions: Revisions = {}
    for partition in range(PARTITIONS):
        values = [(number, line) for number, line in enumerate(lines) if _is_in(line, partition)]
        records = [Record("app", line, at, at + 1) for at, (_, line) in enumerate(values)]
        before = sum(number < AT for number, _ in values)
        run = Run(folder / f"{partition}.db", records)
        run.go(two.old, [before])
        run.go(two.new, [len(records)])
        states |= {
            source: comparable(decode(state, two.new.bundle.id)) for source, state in run.states().items()
        }
        revisions |= {(one.alert_id, one.revision): told(one.payload) for one in run.revisions}
    return states, revisions


def _is_in(line: bytes, partition: int) -> bool:
    return partition_of(line, session=False, partitions=PARTITIONS) == partition
