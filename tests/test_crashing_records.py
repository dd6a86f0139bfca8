"""A record that ends the worker is found, put aside and left; no other record is."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from detector.config.options import RedisAt
from detector.distributed import packs
from detector.distributed.letters import Keeping
from detector.distributed.packs import Packed
from detector.distributed.partitions import MarkingStore, Partitions
from detector.distributed.trials import ATTEMPTS, Mark, Owed, Trial, encoded
from detector.errors import Unavailable
from detector.inputs.kafka.feed import Begin, KafkaRecord, PartitionBatch, Shard
from detector.records import DeadLetter
from detector.shard.core import Core
from detector.stages.parse.parse import Parser
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.letters import Letters
from tests.crashing_worker import BITTER, POISON
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.watching import DEADLINE_S, core_of, lines_of, until
from tests.workers import come_to, configured, have_come_to, last_lines, replayed, spread

SEED = 51
SHARD = Shard("logs", 0)


@contextmanager
def crashing(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that dies over one kind of record."""
    command = [sys.executable, "-m", "tests.crashing_worker", "worker", "--config", str(config)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_record_that_kills_the_worker_three_times_is_put_aside(
    kafka: Broker, redis: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth start goes past it; everything else comes out as if it had never been there."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = "crashing", tmp_path / "app.log"
    monkeypatch.setenv("TAILRACE_KAFKA__DEAD_LETTER_TOPIC", f"{topic}-dead")
    monkeypatch.setenv("TAILRACE_KAFKA__SESSION_TIMEOUT_S", "1.5")  # the next one need not wait long
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 60)] + last_lines(session=False, partitions=1)
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    poison = bad(lines[19])
    topics.create(kafka.address, topic)
    topics.create(kafka.address, f"{topic}-dead")
    spread(kafka.address, topic, [*lines[:20], poison, *lines[20:]], session=False, partitions=1)
    at, core = RedisAt(url=redis.url, key_prefix=topic), core_of(bundle, log)
    config = configured(
        tmp_path / "tailrace.toml", bundle=bundle, broker=kafka.address, topic=topic, redis=redis.url
    )
    for _ in range(ATTEMPTS):
        with crashing(config) as process:
            assert process.wait(DEADLINE_S) == -signal.SIGKILL
    with crashing(config) as process:
        until(lambda: have_come_to(at, {f"{topic}-0": len(lines)}) or process.poll() is not None)
        until(lambda: len(topics.log_of(kafka.address, f"{topic}-dead")) == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert come_to(at, core) == replayed(core, log)
    [record] = topics.records(kafka.address, f"{topic}-dead")
    headers = dict(record.headers)
    assert record.value == poison
    assert (headers["x-error-class"], headers["x-offset"], headers["x-attempts"]) == (b"Crash", b"20", b"3")


def test_a_record_that_kills_the_router_is_put_aside_under_its_own_place(
    kafka: Broker, redis: Server, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is handed on unread; a later start, which reads the lines before the fence again, lives on."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = "crashing-router", tmp_path / "app.log"
    monkeypatch.setenv("TAILRACE_KAFKA__DEAD_LETTER_TOPIC", f"{topic}-dead")
    monkeypatch.setenv("TAILRACE_KAFKA__SESSION_TIMEOUT_S", "1.5")
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 60)]
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    bitter = bad(lines[19], BITTER)
    topics.create(kafka.address, topic)
    for made in ("routed", "dead"):
        topics.create(kafka.address, f"{topic}-{made}")
    topics.produce(kafka.address, topic, [*lines[:20], bitter, *lines[20:-1]])
    at, core = RedisAt(url=redis.url, key_prefix=topic), core_of(bundle, log)
    config = configured(
        tmp_path / "tailrace.toml",
        bundle=bundle, broker=kafka.address, topic=topic, redis=redis.url, routed=f"{topic}-routed",
    )  # fmt: skip
    for _ in range(ATTEMPTS):
        with crashing(config) as process:
            assert process.wait(DEADLINE_S) == -signal.SIGKILL
    with crashing(config) as process:
        until(lambda: len(topics.log_of(kafka.address, f"{topic}-dead")) == 1 or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    topics.produce(kafka.address, topic, lines[-1:])
    expected = replayed(core, log)
    with crashing(config) as process:
        until(lambda: come_to(at, core) == expected or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    [record] = topics.records(kafka.address, f"{topic}-dead")
    headers = dict(record.headers)
    assert record.value == bitter
    assert headers.pop("x-error")
    assert headers == {
        "x-error-class": b"Crash", "x-topic": topic.encode(), "x-partition": b"0", "x-offset": b"20",
        "x-attempts": b"3",
    }  # fmt: skip


class Died(BaseException):
    """The process is no more."""


class Poisoned(Parser):
    """Dies over poison, as the process in the test above."""

    def match_all(self, messages: Any) -> list[int]:
        """The tokens, or the end."""
        listed = list(messages)
        if any(POISON in message for message in listed):
            raise Died
        return super().match_all(listed)


class Mortal:
    """A store whose process somebody kills before or after one of its writes."""

    def __init__(self, store: MarkingStore, writes: float, *, after: bool) -> None:
        """Die at that write."""
        self._store, self._left, self._after = store, writes, after

    def __getattr__(self, name: str) -> Any:
        """What the store does, if the process lives on."""
        call = getattr(self._store, name)
        return self._write(call) if name in {"commit", "set_mark"} else call

    def _write(self, call: Any) -> Any:
        def write(*arguments: Any) -> None:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Died
            call(*arguments)
            if self._left == 0:
                raise Died

        return write


class Host:
    """Starts workers of one partition, one after the other, on what the last one left."""

    def __init__(
        self, core: Core, at: RedisAt, values: list[bytes], sizes: Iterator[int] | None = None
    ) -> None:
        """The partition holds these; as if routed, in packs of so many lines, where `sizes` are given."""
        self.core = msgspec.structs.replace(core, parser=Poisoned(core.parser.vocabulary))
        self.at, self.records = at, [KafkaRecord(n, 0, None, value, ()) for n, value in enumerate(values)]
        self.keeping = Keeping()
        if sizes is not None:
            self.records = packed(self.records, sizes)
            self.keeping = Keeping(routed_topic=SHARD.topic)

    def work(self, size: int, *, writes: float = 0, after: bool = True) -> bool:
        """Work in batches of so many to the end; whether the process has lived so long."""
        with closing(store_at(self.at)) as store:
            mortal = cast("MarkingStore", Mortal(store, writes, after=after))
            work = Partitions(self.core, mortal, [], cache_sources=9, keeping=self.keeping)
            try:
                fence = work.fence(SHARD)
                begun = -1 if fence is None else fence
                work.begin(SHARD, Begin(begun, fence))
                for first in range(begun + 1, len(self.records), size):
                    some = self.records[first : first + size]
                    work.process(PartitionBatch(SHARD, first - 1, some[-1].offset, some, at_end=False))
            except Died:
                return False
        return True

    def put_aside(self) -> list[DeadLetter]:
        """The dead letters."""
        with closing(nodes_at(self.at)) as nodes:
            return [letter for _, letter in Letters(nodes, self.at.key_prefix).kept(str(SHARD))]


def packed(records: list[KafkaRecord], sizes: Iterator[int]) -> list[KafkaRecord]:
    """The records as a router sends them on, so many in one."""
    left, found = iter(records), list[KafkaRecord]()
    while some := list(islice(left, next(sizes))):
        lines = [Packed(one.offset, -1, one.time_ms, one.key, one.value or b"") for one in some]
        value, headers = packs.packed("from/0", lines, more=True)
        found.append(KafkaRecord(len(found), 0, None, value, tuple(headers)))
    return found


def poisoned(lines: list[bytes], places: set[int]) -> list[bytes]:
    """The lines, with a poisoned one before some of them."""
    return [one for n, line in enumerate(lines) for one in ([bad(line), line] if n in places else [line])]


def bad(line: bytes, why: bytes = POISON) -> bytes:
    """A line like another, that kills."""
    return line.rpartition(b" ")[0] + b" " + why


@pytest.mark.parametrize("is_routed", [False, True], ids=["keyed", "in packs"])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_else_kills_the_worker_only_poison_is_put_aside(
    redis: Server, bundle: Path, tmp_path: Path, seed: int, is_routed: bool
) -> None:
    """Kills at random writes, batches of random sizes, several bad records: the rest is as without them."""
    sys.stdout.write(f"seed {seed}\n")
    rng, log = random.Random(seed), tmp_path / "app.log"
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 60)]
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    core, places = core_of(bundle, log), set(rng.sample(range(60), 3))
    at = RedisAt(url=redis.url, key_prefix=f"random-{seed}-{is_routed:d}")
    sizes = iter(lambda: rng.choice([1, 2, 7, 40]), 0) if is_routed else None
    host = Host(core, at, poisoned(lines, places), sizes)
    # Not two kills in a row at the same place: the second would be at the record that the first one named.
    kills = [(rng.choice([0, 7, 13]), rng.random() < 0.5) for _ in range(60)]
    starts = next(
        n
        for n, (writes, after) in enumerate(kills)
        if host.work(rng.choice([1, 2, 9] if is_routed else [5, 20, 99]), writes=writes, after=after)
    )
    assert starts >= ATTEMPTS * len(places)
    letters = host.put_aside()
    assert [one.value for one in letters] == [bad(lines[place]) for place in sorted(places)]
    assert {(one.error_class, one.attempts) for one in letters} == {("Crash", ATTEMPTS)}
    if is_routed:
        bad_at = [number for number, line in enumerate(poisoned(lines, places)) if POISON in line]
        assert [one.identity for one in letters] == [f"from/0/{number}" for number in bad_at]
    assert come_to(host.at, core) == replayed(core, log)


def test_a_bad_record_in_the_first_batch_ends_the_worker_three_times(
    redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """Further on it does once more: the first time nothing says that it was the records."""
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 40)]
    core = core_of(bundle, tmp_path / "app.log")
    for name, place, wanted in (("first", 3, 3), ("later", 30, 4)):
        host = Host(core, RedisAt(url=redis.url, key_prefix=name), poisoned(lines, {place}))
        deaths = next(n for n in range(9) if host.work(10))
        assert deaths == wanted


def test_a_worker_that_is_killed_again_and_again_skips_nothing(
    redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """Before its first commit, six times: records then go one by one, and none is put aside."""
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 30)]
    host = Host(core_of(bundle, tmp_path / "app.log"), RedisAt(url=redis.url, key_prefix="killed"), lines)
    assert not host.work(10, writes=2)  # the beginning is committed, and the first attempt marked
    for _ in range(6):
        assert not host.work(10, writes=1, after=False)
    assert host.work(10)
    assert host.put_aside() == []


def test_two_kills_while_the_same_record_is_tried_alone_put_it_aside(
    redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """From outside that looks like a record that kills; one such kill does not."""
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 30)]
    core = core_of(bundle, tmp_path / "app.log")
    for name, kills, wanted in (("once", 1, []), ("twice", 2, [0])):
        host = Host(core, RedisAt(url=redis.url, key_prefix=name), lines)
        assert not host.work(10, writes=2)
        for _ in range(kills):
            assert not host.work(10, writes=1)
        assert host.work(10)
        assert [one.offset for one in host.put_aside()] == wanted


def test_servers_that_are_away_are_no_crash(redis: Server, bundle: Path, tmp_path: Path) -> None:
    """An error that is known takes its mark away, so that records keep going in batches."""
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 10)]
    at, core = RedisAt(url=redis.url, key_prefix="away"), core_of(bundle, tmp_path / "app.log")
    host = Host(core, at, lines)
    with closing(store_at(at)) as store:

        class Away(Mortal):
            def _write(self, call: Any) -> Any:
                def write(*arguments: Any) -> None:
                    call(*arguments)
                    if call.__name__ == "set_mark":
                        raise Unavailable("kafka or redis is away")

                return write

        work = Partitions(core, cast("MarkingStore", Away(store, 0, after=True)), [], cache_sources=9)
        work.fence(SHARD)
        work.begin(SHARD, Begin(-1, None))
        with pytest.raises(Unavailable):
            work.process(PartitionBatch(SHARD, -1, 9, host.records, at_end=False))
        assert store.mark(str(SHARD)) is None


def test_a_mark_that_outlasted_its_error_is_gone_before_the_next_beginning(
    redis: Server, bundle: Path, tmp_path: Path
) -> None:
    """Redis was away for its removal too; the process has waited for it and begins again."""
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 10)]
    at, core = RedisAt(url=redis.url, key_prefix="outlasted"), core_of(bundle, tmp_path / "app.log")
    host, owed = Host(core, at, lines), dict[str, Owed]()
    assert not host.work(10, writes=1)  # nothing but the beginning
    with closing(store_at(at)) as store:

        class Away(Mortal):
            is_away = False

            def __getattr__(self, name: str) -> Any:
                self.is_away = self.is_away or name == "commit"
                if self.is_away:
                    raise Unavailable("redis is away")
                return getattr(self._store, name)

        away = cast("MarkingStore", Away(store, 0, after=True))
        work = Partitions(core, away, [], cache_sources=9, owed=owed)
        work.begin(SHARD, Begin(-1, work.fence(SHARD)))
        with pytest.raises(Unavailable):
            work.process(PartitionBatch(SHARD, -1, 9, host.records, at_end=False))
        assert store.mark(str(SHARD)) == encoded(Mark(-1, 1))
        work = Partitions(core, store, [], cache_sources=9, owed=owed)
        work.begin(SHARD, Begin(-1, work.fence(SHARD)))
        assert store.mark(str(SHARD)) is None


def test_a_mark_tells_nothing_at_another_fence() -> None:
    """Another worker has got on since, or the store was set back."""
    assert Trial(5, encoded(Mark(4, 3, 5))).attempt == 1
    assert Trial(5, encoded(Mark(5, 3, 6))).attempt == 4
    assert Trial(5, b"theirs").attempt == 1


def test_a_named_record_that_is_gone_is_not_waited_for() -> None:
    """Retention or compaction took it: the batch goes as it is."""
    batch = PartitionBatch(SHARD, 5, 9, [KafkaRecord(8, 0, None, b"", ())], at_end=True)
    [part] = Trial(5, encoded(Mark(5, 3, 6))).parts(batch)
    assert (part.batch, part.aside) == (batch, None)
