"""The shards of one worker at work: batches of Kafka through the core into the store. Writes the store."""

from collections.abc import Callable, Iterable

import msgspec
import structlog

from detector.errors import BadSetup
from detector.inputs.kafka.feed import Begin, KafkaRecord, PartitionBatch, Shard
from detector.metrics.committed import Told, nobody
from detector.pipeline import Batch
from detector.records import Record
from detector.shard.core import Core
from detector.shard.hints import Hints
from detector.shard.work import ShardWork
from detector.store.contract import Fence, Store
from detector.store.outbox import Enrolment

ORIGIN_CHARACTERS = 256  # longest name of an origin
SECOND_US = 1_000_000

_log = structlog.get_logger("shards")


class Position(msgspec.Struct, frozen=True):
    """A partition's fence."""

    offset: int  # of the last record whose effects are kept; -1 before the first


class Partitions:
    """What a worker does with its share of the partitions; `inputs.kafka.feed.Work`."""

    def __init__(
        self,
        core: Core,
        store: Store,
        receivers: Iterable[Enrolment],
        *,
        cache_sources: int,
        after: Callable[[bool], None] = lambda _: None,
        told: Told = nobody,
    ) -> None:
        """Begin with no partition; at most `cache_sources` states of each stay in memory.

        `after` is called when a shard has got on, with whether there may be something to deliver; `told`
        learns of every commit once it is written.
        """
        self._told = told
        self._core, self._store = core, store
        self._receivers = list(receivers)
        self._cache_sources, self._after = cache_sources, after
        self._hints = Hints()
        self._found: dict[Shard, Fence | None] = {}
        self.works: dict[Shard, ShardWork] = {}

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to, None where nobody has begun it.

        Raises:
            BadSetup: it was begun with another bundle.
        """
        fence = self._found[shard] = self._store.fence(str(shard))
        if fence is None:
            return None
        if fence.bundle != self._core.bundle.id:
            raise BadSetup(
                f"the states of {shard} belong to bundle {fence.bundle}, not to {self._core.bundle.id} "
                f"({self._core.bundle.path}): give that bundle, or another key prefix"
            )
        return msgspec.json.decode(fence.fence, type=Position).offset

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Take the shard from where it is read."""
        name, fence = str(shard), self._found.pop(shard)
        self._store.enrol(name, self._receivers)
        work = ShardWork(
            self._core, self._store, name, fence, cache_sources=self._cache_sources, told=self._told
        )
        self.works[shard] = work
        if begin.lost:
            _log.warning("lines lost to retention", shard=name, lines=begin.lost)
            work.start_cold()
        if begin.after != begin.fence:
            work.take(Batch([], [], [], work.clock_us or None), _encoded(begin.after))
        self._after(True)  # what waits for delivery here is now ours

    def process(self, batch: PartitionBatch) -> None:
        """Commit what the batch calls for."""
        work = self.works[batch.shard]
        revisions = work.counts.revisions
        records = [_record(batch.shard.topic, record) for record in batch.records]
        taken = work.intake.of_feed(work.shard, records)
        work.take(taken, _encoded(batch.last))
        work.pass_time(taken.clock_us or 0)
        self._hints.tell(work.intake, whole=False)
        self._after(work.counts.revisions > revisions)

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """Let the shard's clock go on at the end of its log."""
        work = self.works[shard]
        revisions = work.counts.revisions
        if work.clock_us:
            work.pass_time(work.clock_us + round(quiet_s * SECOND_US))
        self._after(work.counts.revisions > revisions)

    def stopped(self, shard: Shard, reason: str) -> None:
        """Say that a shard cannot be read."""
        self.works.pop(shard, None)
        _log.error("shard stopped", shard=str(shard), reason=reason)

    def dropped(self, shards: frozenset[Shard]) -> None:
        """Forget what is somebody else's."""
        for shard in shards:
            self.works.pop(shard, None)
            self._found.pop(shard, None)
            self._store.release(str(shard))


def _record(topic: str, record: KafkaRecord) -> Record:
    """A message as the core reads it; its key names the origin, and where nothing else does the source."""
    key = record.key.decode("utf-8", "backslashreplace")[:ORIGIN_CHARACTERS] if record.key else ""
    return Record(
        origin=key or topic,
        value=record.value or b"",
        offset=record.offset,
        end=record.offset + 1,
        time_us=record.time_ms * 1000 if record.time_ms > 0 else None,
    )


def _encoded(offset: int) -> bytes:
    return msgspec.json.encode(Position(offset))
