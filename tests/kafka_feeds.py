"""What the tests of the Kafka input share: workers, and a shell that only keeps fences and records."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import Begin, Feed, KafkaRecord, PartitionBatch, Shard, Work
from detector.inputs.kafka.run import run
from tests.watching import until


def lines_of(count: int, first: int = 0) -> list[bytes]:
    """Lines that say which they are."""
    return [b"line %d" % number for number in range(first, first + count)]


def feed_of(address: str, topic: str, **changes: object) -> Feed:
    """Settings that let tests be quick."""
    feed = Feed(
        connection=Connection(brokers=(address,)),
        group=f"{topic}-group",
        topics=(topic,),
        start="earliest",
        max_lines=50,
        session_timeout_s=2.0,
        metadata_max_age_s=0.5,
        tick_s=0.05,
        hint_s=0.1,
    )
    return msgspec.structs.replace(feed, **changes)


class Keeper:
    """Fences and records in memory, as strict as a store: a batch must follow the fence."""

    def __init__(self) -> None:
        """Nothing is kept."""
        self.fences: dict[Shard, int] = {}
        self.records: dict[Shard, list[KafkaRecord]] = defaultdict(list)
        self.begins: list[tuple[Shard, Begin]] = []
        self.batches: list[PartitionBatch] = []
        self.quiet_s: dict[Shard, list[float]] = defaultdict(list)
        self.reasons: dict[Shard, str] = {}
        self.held: set[Shard] = set()
        self._lock = threading.Lock()  # two workers may share a keeper, as they share a store

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to."""
        return self.fences.get(shard)

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Commit where the shard is read from."""
        with self._lock:
            self.begins.append((shard, begin))
            self.fences[shard] = begin.after
            self.held.add(shard)

    def process(self, batch: PartitionBatch) -> None:
        """Keep the records behind the fence."""
        with self._lock:
            fence = self.fences[batch.shard]
            assert batch.after <= fence, f"a hole between {fence} and {batch.after}"
            self.records[batch.shard] += [record for record in batch.records if record.offset > fence]
            self.fences[batch.shard] = max(fence, batch.last)
            self.batches.append(batch)

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """Note a tick."""
        self.quiet_s[shard].append(quiet_s)

    def stopped(self, shard: Shard, reason: str) -> None:
        """Note why a shard is not read."""
        self.reasons[shard] = reason

    def dropped(self, shards: frozenset[Shard]) -> None:
        """Note what is not held any more."""
        self.held -= shards

    def values(self, topic: str, partition: int = 0) -> list[bytes]:
        """What was read of a partition, in order."""
        return [record.value or b"" for record in self.records[Shard(topic, partition)]]

    @property
    def count(self) -> int:
        """How many records were read."""
        return sum(map(len, self.records.values()))


class Stop:
    """Ends a worker when a test says so."""

    def __init__(self) -> None:
        """Nobody has said anything."""
        self.event = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until the test says so."""
        return self.event.wait(seconds)


class Running:
    """A worker in a thread of its own."""

    def __init__(self, feed: Feed, keeper: Work) -> None:
        """Start it."""
        self.error: BaseException | None = None
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, args=(feed, keeper))
        self._thread.start()

    def _run(self, feed: Feed, keeper: Work) -> None:
        try:
            run(feed, keeper, self._stop)
        except BaseException as error:  # noqa: BLE001  (raised in the test)
            self.error = error

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself or was told to."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Let it drain and leave."""
        self._stop.event.set()
        self._thread.join()


@contextmanager
def running(feed: Feed, keeper: Work) -> Iterator[Running]:
    """A worker for a while; its error is the test's."""
    worker = Running(feed, keeper)
    try:
        yield worker
    finally:
        worker.stop()
    if worker.error is not None:
        raise worker.error


def read_all(feed: Feed, keeper: Keeper, count: int) -> None:
    """Let a worker read until the keeper has that many records."""
    with running(feed, keeper) as worker:
        until(lambda: keeper.count >= count or worker.has_ended)
