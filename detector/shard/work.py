"""One shard at work: batches through the core, each with one commit. Writes the store.

Nothing counts before its commit: after a crash the shell begins where the last commit ended.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from time import perf_counter

import msgspec

from detector.metrics.committed import Committed, Told, nobody
from detector.pipeline import Advance, Batch, advance, forget, sources_of
from detector.records import Reject, Revision, ScoredEvent
from detector.shard.core import Core
from detector.shard.intake import Intake
from detector.shard.reader import decode_memories, encode_memories
from detector.shard.stored import StoredStates
from detector.stages.judge.state import decode
from detector.store.contract import Commit, Fence, Store

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
        cache_sources: int,
        told: Told = nobody,
        publish: Callable[[Sequence[ScoredEvent]], None] = lambda _: None,
    ) -> None:
        """Go on from a fence; `publish` gets scores before their commit, `told` of it once written."""
        self._core, self._store, self.shard, self._told = core, store, shard, told
        self._publish = publish
        self.reader = core.new_reader()
        if fence is not None and fence.memory:
            memories = msgspec.msgpack.decode(fence.memory, type=dict[str, bytes])
            self.reader.memories.update(decode_memories(memories))
        self.intake = Intake(self.reader, core.parser)
        self._states = StoredStates(store, shard, core.bundle.id, cache_sources)
        self._number = 0 if fence is None else fence.number
        self._fence = b"" if fence is None else fence.fence
        self._memory = b"" if fence is None else fence.memory
        self._sources = store.sources(shard)
        self._told_lines = 0
        self.counts = Counts()

    @property
    def clock_us(self) -> int:
        """The newest clock of the shard's origins: the time of its last lines, 0 before any."""
        return self.intake.clock_us

    def take(self, batch: Batch, fence: bytes, more: Sequence[Revision] = ()) -> None:
        """Commit what a batch calls for, and more revisions, together with the input's position behind it."""
        self._fence = fence
        self._memory = msgspec.msgpack.encode(encode_memories(self.reader.memories))
        self._advance(batch, more=more)

    def pass_time(self, clock_us: int, spare: AbstractSet[str] = frozenset()) -> None:
        """Say what the clock alone calls for, where it calls for something; not of the sources to spare."""
        while self._due(clock_us, 1, spare):
            done = self._advance(Batch([], [], [], clock_us), spare)
            for source, at in done.due_us.items():
                if at is not None and at < clock_us:
                    raise RuntimeError(f"{source} is due at {at} by {clock_us}, again and again")

    def start_cold(self) -> None:
        """Forget every source and clock of the shard: lines between then and now are lost."""
        names, clock_us = list(self._store.all_states(self.shard)), self.clock_us or None
        for start in range(0, len(names), MAX_DUE):
            loaded = self._states.load(names[start : start + MAX_DUE])
            self._commit(forget(loaded, clock_us), Batch([], [], [], clock_us), loaded.keys(), score_s=0.0)
        self.reader.memories.clear()
        self.intake, self._told_lines = Intake(self.reader, self._core.parser), 0

    def open_sources(self) -> int:
        """Count the sources whose life has not ended; reads every stored state."""
        bundle_id = self._core.bundle.id
        return sum(not decode(state, bundle_id).ended for state in self._store.each_state(self.shard))

    def _due(self, clock_us: int, limit: int, spare: AbstractSet[str]) -> list[str]:
        most = limit if limit == ALL_DUE else limit + len(spare)
        return [name for name in self._states.due(clock_us, most) if name not in spare]

    def _advance(
        self, batch: Batch, spare: AbstractSet[str] = frozenset(), more: Sequence[Revision] = ()
    ) -> Advance:
        """One batch, with what is due by its clock, through the core and into the store."""
        # What a clock called for that went back within the batch cannot be said later: it is taken up whole.
        most = ALL_DUE if batch.falls else MAX_DUE
        names = sorted(sources_of(batch.lines).union(self._due(batch.latest_us, most, spare)))
        core, loaded = self._core, self._states.load(names)
        began_s = perf_counter()
        done = advance(loaded, batch, core.bundle, core.policy, core.explain)
        score_s = perf_counter() - began_s
        done.revisions.extend(more)
        if done.events:
            self._publish(done.events)
        self._commit(done, batch, loaded.keys(), score_s=score_s)
        return done

    def _commit(self, done: Advance, batch: Batch, before: AbstractSet[str], *, score_s: float) -> None:
        """Write what a batch did; `before` are its sources that had a state."""
        rejects = self.intake.take_rejects()
        commit = Commit(
            shard=self.shard,
            based_on=self._number,
            bundle=self._core.bundle.id,
            fence=self._fence,
            memory=self._memory,
            states=self._states.keep(done.states),
            due_us=done.due_us,
            revisions=done.revisions,
            rejects=rejects,
        )
        began_s = perf_counter()
        self._store.commit(commit)
        commit_s = perf_counter() - began_s
        self._number += 1
        self._count(done, rejects)
        self._sources += sum((kept is not None) - (name in before) for name, kept in done.states.items())
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
                score_s=score_s,
                commit_s=commit_s,
            )
        )

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
