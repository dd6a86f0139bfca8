"""One shard at work: batches through the core, each with one commit. Writes the store.

Nothing counts before its commit: after a crash the shell begins where the last commit ended.
"""

import sys
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from time import perf_counter
from typing import Final

import msgspec
import structlog

from detector.metrics.committed import Committed, Told, nobody
from detector.pipeline import Advance, Batch, sources_of
from detector.records import Reject, Revision, ScoredEvent
from detector.shard import remembered
from detector.shard.core import Core
from detector.shard.hops import Hops
from detector.shard.intake import Intake
from detector.shard.judging import Alone, Both, Judged, Judging, Place
from detector.shard.reader import decode_memories, encode_memories
from detector.shard.remembered import Remembered, Succession
from detector.shard.stored import Room
from detector.store.contract import Commit, Fence, Store

_log: Final = structlog.get_logger("shards")

MAX_DUE = 1000  # sources that one batch takes up because time has passed
ALL_DUE = -1


class Counts(msgspec.Struct):
    """What was done since the start."""

    lines: int = 0
    rejects: int = 0
    commits: int = 0
    alerts: int = 0  # opened
    revisions: int = 0
    ended: int = 0  # sources
    late: int = 0  # lines so late that the life they belong to is over
    dropped: int = 0  # lines without a source

    @property
    def said(self) -> int:
        """Everything that somebody is waiting for: revisions and rejects."""
        return self.revisions + self.rejects


class ShardWork:
    """The states, the clock and the fence of one shard."""

    def __init__(
        self,
        core: Core,
        store: Store,
        shard: str,
        fence: Fence | None,
        *,
        room: Room,
        told: Told = nobody,
        publish: Callable[[Core, Sequence[ScoredEvent]], None] = lambda _core, _events: None,
        before: Core | None = None,
        traces: bool = False,
    ) -> None:
        """Go on from a fence; `publish` gets scores before their commit, `told` of it once written.

        `traces` says whether each origin has all lines of its traces; only then are they judged.
        `room` is the memory for states, which other shards may share.
        `before` is the core of the bundle before, where the fence names one and it is still there.
        """
        self._core, self._store, self.shard, self._told = core, store, shard, told
        self._publish = publish
        self._place = Place(store, shard, room)
        known = remembered.of_fence(fence)
        self._memories = known.memories
        self.reader = core.new_reader()
        self.reader.memories.update(decode_memories(known.memories))
        self.intake = Intake(self.reader, core.parser)
        self._hops = Hops(core, store.traces(shard)) if traces else None
        self._judging: Judging = Alone(core, self._place)
        if fence is not None and known.succession is not None:
            old_id = remembered.bundles_of(fence)[1] or ""
            self._judge_by(Both(before, core, old_id, known.succession, self._place))
        self._number = 0 if fence is None else fence.number
        self._fence = b"" if fence is None else fence.fence
        self._sources = store.sources(shard)
        self._told_lines = 0
        self.counts = Counts()

    @property
    def core(self) -> Core:
        """By what lines are read, and sources judged; for a while some by the bundle before."""
        return self._core

    @property
    def clock_us(self) -> int:
        """The newest clock of the shard's origins: the time of its last lines, 0 before any."""
        return self.intake.clock_us

    def take(self, batch: Batch, fence: bytes, more: Sequence[Revision] = ()) -> None:
        """Commit what a batch calls for, and more revisions, together with the input's position behind it."""
        if batch.falls:
            self._pass_before(batch)
        self._fence = fence
        self._memories = encode_memories(self.reader.memories)
        of_traces = (
            [] if self._hops is None else self._hops.keep_only(self._memories) + self._hops.take(batch)
        )
        self._advance(batch, more=[*more, *of_traces])

    def pass_time(
        self, clock_us: int, spare: AbstractSet[str] = frozenset(), *, most_commits: int = sys.maxsize
    ) -> None:
        """Say what the clock alone calls for, where it calls for something; not of the sources to spare.

        What is left after so many commits stays due, however late it is said.
        """
        self._take_up_due(clock_us, spare, most_commits)
        if self._hops is not None and (
            said := self._hops.pass_time(clock_us - self._core.policy.lateness_us)
        ):
            self._commit(Judged(Advance({}, {}, said, [], [], 0, 0), {}, 0), _nothing(clock_us))

    def _take_up_due(self, clock_us: int, spare: AbstractSet[str], most_commits: int = sys.maxsize) -> None:
        left = most_commits
        while left and self._due(clock_us, 1, spare):
            left -= 1
            done = self._advance(Batch([], [], [], clock_us), spare)
            for source, at in done.due_us.items():
                if at is not None and at < clock_us:
                    raise RuntimeError(f"{source} is due at {at} by {clock_us}, again and again")

    def _pass_before(self, batch: Batch) -> None:
        """Say what a clock calls for that goes back within the batch, of sources that have no line in it.

        Later it could not be said. They may be all there are, too many for the batch's own commit.
        """
        rejects, self.intake.rejects = self.intake.rejects, []  # those go with the lines
        self._take_up_due(batch.latest_us, sources_of(batch.lines))
        self.intake.rejects = rejects

    def upgrade(self, newest: Core) -> None:
        """Go on with the newest bundle from here, which is between two batches.

        Sources of the one before change over one by one; while there are any, another bundle has to wait.
        """
        judging = self._judging
        if isinstance(judging, Both):
            if judging.is_lost:
                self._give_up(judging)
            return
        if newest.bundle.id != self._core.bundle.id:
            self._take_up(newest)

    def start_cold(self) -> None:
        """Forget every source and clock of the shard: lines between then and now are lost."""
        clock_us = self.clock_us or None
        for names in self._all_sources():
            self._commit(self._judging.forget(names, clock_us), Batch([], [], [], clock_us))
        self.reader.memories.clear()
        self.intake, self._told_lines = Intake(self.reader, self._core.parser), 0
        self.intake.also = self._judging.also

    def open_sources(self) -> int:
        """Count the sources whose life has not ended; reads every stored state."""
        return sum(map(self._judging.is_open, self._store.each_state(self.shard)))

    def _take_up(self, newest: Core) -> None:
        old, clock_us = self._core, self.clock_us
        left = self.open_sources()
        _log.info(
            "taking up bundle", shard=self.shard, bundle=newest.bundle.id, before=old.bundle.id, sources=left
        )
        self._core = newest
        memories, self.reader = self.reader.memories, newest.new_reader()
        self.reader.memories.update(memories)
        self.intake.use(self.reader, newest.parser)
        if self._hops is not None:
            self._hops = Hops(newest, self._hops.encoded())
        self._judging = Alone(newest, self._place)
        if left:
            idle_us = old.policy.idle_us
            until_us = None if idle_us is None or not clock_us else clock_us + idle_us
            # Lines that were read before have left no trace but what both readers know.
            before = Succession(str(old.where), self._memories, until_us, left)
            self._judge_by(Both(old, newest, old.bundle.id, before, self._place))
        if self._number:
            self._commit(Judged(Advance({}, {}, [], [], [], 0, 0), {}, 0), _nothing(clock_us))

    def _give_up(self, judging: Both) -> None:
        """The bundle before is gone: its sources go on cold."""
        _log.error("bundle before is gone", shard=self.shard, bundle=self._core.bundle.id, cold=judging.left)
        for names in self._all_sources():
            self._commit(judging.give_up(names, self.clock_us), _nothing(self.clock_us))

    def _judge_by(self, judging: Judging) -> None:
        self._judging, self.intake.also = judging, judging.also

    def _all_sources(self) -> list[list[str]]:
        names = sorted(self._store.each_source(self.shard))
        return [names[start : start + MAX_DUE] for start in range(0, len(names), MAX_DUE)]

    def _due(self, clock_us: int, limit: int, spare: AbstractSet[str]) -> list[str]:
        most = limit if limit == ALL_DUE else limit + len(spare)
        return [name for name in self._judging.due(clock_us, most) if name not in spare]

    def _advance(
        self, batch: Batch, spare: AbstractSet[str] = frozenset(), more: Sequence[Revision] = ()
    ) -> Advance:
        """One batch, with what is due by its clock, through the core and into the store."""
        # What is left of what a clock called for that went back within the batch: it cannot be said later.
        most = ALL_DUE if batch.falls else MAX_DUE
        names = sorted(sources_of(batch.lines).union(self._due(batch.latest_us, most, spare)))
        judged = self._judging.advance(names, batch)
        judged.done.revisions.extend(more)
        for core, events in judged.scored:
            if events:
                self._publish(core, events)
        self._commit(judged, batch)
        return judged.done

    def _commit(self, judged: Judged, batch: Batch) -> None:
        """Write what a batch did."""
        rejects, done, judging = self.intake.take_rejects(), judged.done, self._judging
        succession = judging.succession(self._memories)
        traces = {} if self._hops is None else self._hops.take_changed()
        commit = Commit(
            shard=self.shard,
            based_on=self._number,
            bundle=judging.named(),
            fence=self._fence,
            memory=remembered.encode(Remembered(self._memories, str(self._core.where), succession)),
            states=judged.states,
            due_us=done.due_us,
            revisions=done.revisions,
            rejects=rejects,
            traces=traces,
        )
        began_s = perf_counter()
        self._store.commit(commit)
        commit_s = perf_counter() - began_s
        self._number += 1
        self._count(done, rejects)
        self._sources += judged.appeared
        records, self._told_lines = self.intake.lines - self._told_lines, self.intake.lines
        self._told(
            Committed(
                shard=self.shard,
                records=records,
                batch=batch,
                done=done,
                rejects=rejects,
                sources=self._sources,
                clock_us=self.clock_us,
                score_s=judged.score_s,
                commit_s=commit_s,
            )
        )
        if isinstance(judging, Both) and succession is None:
            _log.info("bundle taken up", shard=self.shard, bundle=self._core.bundle.id)
            self._judge_by(Alone(self._core, self._place))

    def _count(self, done: Advance, rejects: list[Reject]) -> None:
        counts = self.counts
        counts.lines = self.intake.lines
        counts.rejects += len(rejects)
        counts.commits += 1
        counts.alerts += sum(revision.revision == 1 for revision in done.revisions)
        counts.revisions += len(done.revisions)
        counts.ended += len(done.closed)
        counts.late += done.late
        counts.dropped += done.dropped


def _nothing(clock_us: int) -> Batch:
    return Batch([], [], [], clock_us or None)
