"""The shards of one worker at work: batches of Kafka through the core into the store. Writes the store."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import msgspec
import structlog

from detector.distributed import packs, resubmitted
from detector.distributed.arrivals import Arrivals, Steady
from detector.distributed.counts import check_shard
from detector.distributed.letters import CRASH, CRASHED, Keeping, addressed, dead_letter, header
from detector.distributed.packs import Position
from detector.distributed.routed import CRASH as ROUTER_CRASH
from detector.distributed.routed import record_of
from detector.distributed.trials import ATTEMPTS, RESET, Marks, Owed, Part, Trials
from detector.errors import BadSetup
from detector.inputs.kafka.feed import ANEW, Begin, KafkaRecord, PartitionBatch, Shard
from detector.metrics.committed import Told, nobody
from detector.pipeline import Batch
from detector.records import DeadLetter, Reject, ScoredEvent
from detector.shard.bundles import Bundles, Cores
from detector.shard.core import Core
from detector.shard.hints import Hints
from detector.shard.stored import ROOM_BYTES, Room
from detector.shard.work import ShardWork
from detector.store.contract import Fence, Store
from detector.store.outbox import Enrolment
from detector.store.redis.topics import PartitionCount

SECOND_US = 1_000_000
DOUBLED = (
    "lines that were routed come a second time: another group routes to this topic too, or somebody let "
    "them be routed again"
)
COMMITS = 8  # at a time of what is due, less than a second's work: other partitions wait, and a rebalance

_log = structlog.get_logger("shards")


class MarkingStore(Store, Marks, Protocol):
    """A store that keeps marks beside the fences, which a commit removes; others write to it as well."""

    def check_unmoved(self, shard: str) -> None:
        """Raise Fenced where another process has written to the shard."""


class Partitions:
    """What a worker does with its share of the partitions; `inputs.kafka.feed.Work`."""

    def __init__(
        self,
        core: Core,
        store: MarkingStore,
        receivers: Iterable[Enrolment],
        *,
        cache_sources: int,
        cache_bytes: int = ROOM_BYTES,
        counts: Mapping[str, PartitionCount] | None = None,
        bundles: Bundles | None = None,
        after: Callable[[bool], None] = lambda _: None,
        told: Told = nobody,
        keeping: Keeping = Keeping(),  # noqa: B008  (frozen)
        publish: Callable[[Shard, Core, Sequence[ScoredEvent]], None] = lambda *_: None,
        owed: dict[str, Owed] | None = None,
        max_lines: int = 4096,
        away_s: float = 0.0,
    ) -> None:
        """Begin with no partition; at most `cache_sources` states of each stay in memory.

        Of all together they take at most `cache_bytes`, about.

        `counts` says how many partitions the topics had when the worker began; `bundles` where newer bundles
        than the core's come from.
        `after` is called when a shard has got on, with whether there may be something to deliver or publish;
        `told` learns of every commit once it is written; `keeping` says how records are put aside, and which
        topic is the routed one; `publish` gets the scores of a batch before its commit;
        `owed` holds the marks that those before it could not take away; what was routed is committed in parts
        of `max_lines`; who routes may be gone for `away_s` before somebody else does.
        """
        if core.policy.calibration.hops is not None:
            _log.info(
                "traces are not judged", bundle=core.bundle.id, because="their sources are in several shards"
            )
        self._max_lines, self._away_s = max_lines, away_s
        self._told = told
        self._bundles, self._store = bundles or Bundles(core), store
        self._receivers = list(receivers)
        self._room, self._after = Room(cache_sources, cache_bytes), after
        self._keeping, self._publish = keeping, publish
        self._arrivals: dict[Shard, tuple[Arrivals, Steady]] = {}
        self.counts = counts or {}
        self._hints = Hints()
        self.trials = Trials(store, owed)
        self._found: dict[Shard, tuple[Fence | None, Cores]] = {}
        self.works: dict[Shard, ShardWork] = {}

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to, None where nobody has begun it, ANEW after a reset.

        Raises:
            BadSetup: it was begun with a bundle that is gone, or has come while the worker ran.
        """
        check_shard(self.counts, shard)
        fence, newest = self._store.fence(str(shard)), self._bundles.newest()
        cores = Cores(newest) if fence is None else self._bundles.of(fence, f"the states of {shard}")
        self._found[shard] = fence, cores
        if fence is None:
            return ANEW if self._store.mark(str(shard)) == RESET else None
        return _decoded(fence).offset

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Take the shard from where it is read."""
        name, (fence, cores) = str(shard), self._found.pop(shard)
        self._store.enrol(name, self._receivers)
        work = ShardWork(
            cores.core,
            self._store,
            name,
            fence,
            room=self._room,
            told=self._told,
            publish=partial(self._publish, shard),
            before=cores.before,
        )
        self.works[shard] = work
        if begin.lost:
            _log.warning("lines lost to retention", shard=name, lines=begin.lost)
            work.start_cold()
        if self._is_routed(shard):
            now_s = time.monotonic()
            arrivals = Arrivals(shard, work.reader.memories, now_s, self._away_s)
            self._arrivals[shard] = arrivals, Steady(now_s)
        is_known = begin.after == begin.fence
        at = _decoded(fence) if is_known and fence is not None else Position(begin.after)
        self.trials.begin(shard, self._number(shard, at), is_known=is_known)
        if not is_known:
            work.take(Batch([], [], [], work.clock_us or None), msgspec.json.encode(at))
        self._after(True)  # what waits for delivery here is now ours

    def process(self, batch: PartitionBatch) -> None:
        """Commit what the batch calls for."""
        with self._whose_states(batch.shard):
            self.works[batch.shard].upgrade(self._bundles.newest())
            for portion in self._portions(batch):
                self.trials.each(portion, self._try)

    @contextmanager
    def _whose_states(self, shard: Shard) -> Iterator[None]:
        """Where states are another bundle's, see first whether another worker has the shard by now."""
        try:
            yield
        except BadSetup:
            self._store.check_unmoved(str(shard))
            raise

    def _portions(self, batch: PartitionBatch) -> Iterable[PartitionBatch]:
        """The batch; of what was routed, parts of bounded size, with numbers in place of offsets (`packs`).

        Where lines may have to be tried by themselves, packs are opened.
        """
        if not self._is_routed(batch.shard):
            return (batch,)
        batch, fence = packs.numbered(batch), self.trials.fence(batch.shard)
        if fence is not None:
            records = [one for record in batch.records for one in packs.opened(record) if one.offset > fence]
            batch = msgspec.structs.replace(batch, records=records)
        return packs.portions(batch, self._max_lines)

    def _is_routed(self, shard: Shard) -> bool:
        return shard.topic == self._keeping.routed_topic

    def _number(self, shard: Shard, at: Position) -> int:
        return packs.number_of(at) if self._is_routed(shard) else at.offset

    def _position(self, shard: Shard, last: int) -> bytes:
        return msgspec.json.encode(packs.position_of(last) if self._is_routed(shard) else Position(last))

    def _try(self, part: Part) -> None:
        self._commit(part.batch, self._put_aside(part.batch.shard, part.aside, part.attempts))

    def _put_aside(self, shard: Shard, record: KafkaRecord | None, attempts: int) -> list[DeadLetter]:
        """The dead letter of a record that is not tried again."""
        if record is None:
            return []
        letter = dead_letter(shard, record, CRASHED, self._keeping, error_class=CRASH, attempts=attempts)
        _log.error(
            "record put aside", shard=str(shard), record=letter.identity, attempts=attempts, reason=CRASHED
        )
        return [letter]

    def _commit(self, batch: PartitionBatch, aside: Sequence[DeadLetter] = ()) -> None:
        """One commit for the batch, and what its clock calls for after it."""
        work = self.works[batch.shard]
        said = work.counts.said
        unread, records = self._unread(batch)
        first, again = resubmitted.apart(records)
        taken = self._taken(work, batch.shard, first)
        judged = resubmitted.judge(work.core, batch.shard, again, self._keeping.routed_topic)
        rejects = [*work.intake.rejects, *judged.rejects]
        letters = [*aside, *unread, *self._addressed(batch, rejects)]
        is_routed = self._is_routed(batch.shard)
        work.intake.rejects = [packs.lying(one) for one in letters] if is_routed else letters
        work.take(taken, self._position(batch.shard, batch.last), judged.revisions)
        work.pass_time(taken.clock_us or 0, most_commits=COMMITS)
        self._hints.tell(work.intake, whole=False)
        self._after(work.counts.said > said)

    def _addressed(self, batch: PartitionBatch, rejects: Sequence[Reject]) -> list[DeadLetter]:
        """The dead letters of what cannot be read."""
        records = batch.records
        if rejects and self._is_routed(batch.shard):
            records = packs.holding(records, [reject.offset for reject in rejects])
        return addressed(batch.shard, rejects, records, self._keeping)

    def _unread(self, batch: PartitionBatch) -> tuple[list[DeadLetter], list[KafkaRecord]]:
        """What the router was ended by and has handed on as it was, and the other records."""
        if not self._is_routed(batch.shard):
            return [], batch.records
        ended = [record for record in batch.records if header(record, ROUTER_CRASH) is not None]
        letters = [letter for one in ended for letter in self._put_aside(batch.shard, one, ATTEMPTS)]
        return letters, [
            record for record in batch.records if record not in ended
        ] if ended else batch.records

    def _taken(self, work: ShardWork, shard: Shard, records: Sequence[KafkaRecord]) -> Batch:
        """The records as the core takes them."""
        if shard in self._arrivals:
            arrivals, clock = self._arrivals[shard]
            known = len(arrivals.doubled)
            taken = arrivals.batch(work.intake, records, clock.read(time.monotonic()))
            for origin in list(arrivals.doubled)[known:]:
                _log.warning(DOUBLED, shard=str(shard), origin=origin)
            return taken
        return work.intake.of_feed(work.shard, [record_of(shard.topic, record) for record in records])

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """Let the shard's clock go on at the end of its log."""
        work = self.works[shard]
        said = work.counts.said
        with self._whose_states(shard):
            work.upgrade(self._bundles.newest())
            if work.clock_us:
                unread = self._unread_feeds(shard, quiet_s)
                closing_us = work.intake.closing_us(unread, round(quiet_s * SECOND_US))
                work.pass_time(closing_us, most_commits=COMMITS)
        self._after(work.counts.said > said)

    def _unread_feeds(self, shard: Shard, quiet_s: float) -> frozenset[str]:
        """The origins of a routed partition that hold endings back."""
        if shard not in self._arrivals:
            return frozenset()
        arrivals, clock = self._arrivals[shard]
        return arrivals.unread(clock.quiet(time.monotonic(), quiet_s))

    def stopped(self, shard: Shard, reason: str) -> None:
        """Say that a shard cannot be read."""
        self.works.pop(shard, None)
        self._arrivals.pop(shard, None)
        _log.error("shard stopped", shard=str(shard), reason=reason)

    def dropped(self, shards: frozenset[Shard]) -> None:
        """Forget what is somebody else's."""
        for shard in shards:
            self.works.pop(shard, None)
            self._arrivals.pop(shard, None)
            self.trials.forget(shard)
            self._found.pop(shard, None)
            self._store.release(str(shard))


def _decoded(fence: Fence) -> Position:
    return msgspec.json.decode(fence.fence, type=Position)
