"""Tells health and metrics how a worker's work goes. No I/O of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detector.inputs.kafka.feed import Begin, PartitionBatch, Shard, Stopping, Work
from detector.metrics.metrics import Metrics
from detector.web.health import Health

SHARDS, STORE = "shards", "store"
CONDITIONS = (SHARDS, STORE)
NONE_HELD = "none is held"
JOINING = "waiting for the group to give out partitions"


class Watched:
    """Work that is told of; `inputs.kafka.feed.Work`.

    Whether Kafka has more is not asked here: `inputs.kafka.watchdog` ends a worker that reads nothing though
    there is something, and knows when Kafka itself is away. What is looked at is the call in hand.
    """

    def __init__(self, work: Work, health: Health, metrics: Metrics, after: Callable[[], None]) -> None:
        """Hold no shards yet; `after` is called when something was done, in the same thread."""
        self._work, self._health, self._metrics, self._after = work, health, metrics, after
        self._held: set[Shard] = set()
        health.ready(SHARDS, False, JOINING)

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to, None where nobody has begun it."""
        with self._in_hand(f"{shard}: its fence"):
            return self._work.fence(shard)

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Take the shard."""
        with self._in_hand(f"{shard}: its beginning"):
            self._work.begin(shard, begin)
        self._held.add(shard)
        self._health.ready(SHARDS, True)

    def process(self, batch: PartitionBatch) -> None:
        """Commit what the batch calls for."""
        with self._in_hand(f"{batch.shard}: the batch to {batch.last}"):
            self._work.process(batch)
            self._after()

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """The end of the log was reached."""
        with self._in_hand(f"{shard}: its clock"):
            self._work.tick(shard, quiet_s)
            self._after()

    def stopped(self, shard: Shard, reason: str) -> None:
        """The shard cannot be read; the others go on."""
        self._work.stopped(shard, reason)
        self._let_go(shard)

    def dropped(self, shards: frozenset[Shard]) -> None:
        """These shards are somebody else's from now on, or will be taken again."""
        self._work.dropped(shards)
        for shard in shards:
            self._let_go(shard)

    def end(self) -> None:
        """Hold nothing any more."""
        for shard in list(self._held):
            self._let_go(shard)
        self._health.ready(SHARDS, False, NONE_HELD)

    def stand_by(self) -> None:
        """Others have all shards: there is nothing to wait for, and this worker is ready to take over."""
        self._health.ready(SHARDS, True)

    def _let_go(self, shard: Shard) -> None:
        self._held.discard(shard)
        self._metrics.dropped(str(shard))
        if not self._held:
            self._health.ready(SHARDS, False, NONE_HELD)

    @contextmanager
    def _in_hand(self, what: str) -> Iterator[None]:
        self._health.progress(what, 0, behind=True)
        try:
            yield
        finally:
            self._health.forget(what)


class Ticking:
    """Says that the loop goes round whenever it asks whether it is to end."""

    def __init__(self, stopping: Stopping, health: Health) -> None:
        """Ask this one."""
        self._stopping, self._health = stopping, health

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until the worker is to end; whether it is to end."""
        self._health.tick()
        return self._stopping.wait(seconds)
