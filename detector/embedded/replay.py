"""Run the core over history in event time. Reads files through the feeds that it is given."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from detector.embedded.memory import MemoryStates
from detector.pipeline import Advance, Batch, advance, sources_of
from detector.records import Record, Reject, Revision
from detector.shard.core import Core
from detector.shard.hops import Hops
from detector.shard.intake import Intake
from detector.stages.judge.budget import PER_SESSIONS

MAX_LINES = 8192
DAY_US = 86_400_000_000


class Step(msgspec.Struct, frozen=True):
    """What one batch of a replay came to."""

    done: Advance
    rejects: list[Reject]


class Summary(
    msgspec.Struct, frozen=True, tag_field="schema", tag="tailrace.summary/1", rename=None, kw_only=True
):
    """What a replay saw in all."""

    lines: int
    events: int
    sources: int
    rejects: int
    alerts: int
    expected_alerts: float | None  # false ones, on data like the training data; None without event times
    bundle: str


class Replay:
    """One run over some feeds; `steps` does the work, `summary` tells of it."""

    def __init__(self, core: Core, *, keep_open: bool = False) -> None:
        """Start with no state."""
        self._core = core
        self._keep_open = keep_open
        self._intake = Intake(core.new_reader(), core.parser)
        self.states = MemoryStates()
        self._hops: Hops | None = Hops(core, {})
        self._events = self._rejects = self._sessions = 0
        self.dropped = 0  # lines that name no session
        self._sources: set[int] = set()
        self._alerts = 0
        self._first_us: int | None = None

    def steps(self, feeds: Mapping[str, Iterable[list[Record]]], *, of_feeds: bool = False) -> Iterator[Step]:
        """Advance batch by batch; at the end close what is open, or with `keep_open` what is over by then.

        Clocks are those of origins, or `of_feeds`: then traces are not judged, whose lines may be in several.
        """
        if of_feeds:
            self._hops = None
        for batch in self._intake.merged(feeds, MAX_LINES, of_feeds=of_feeds):
            yield self._step(batch)
        clock = self._intake.clock_us or None
        yield self._step(Batch([], [], [], clock, close_all=not self._keep_open), is_last=True)

    def unnamed(self) -> str:
        """A sentence where no line names a source although the settings look for one."""
        return self._intake.unnamed(whole=True)

    def strange(self) -> str:
        """A sentence where the lines are not those that the bundle was trained on."""
        return self._intake.strange(whole=True)

    def untraced(self) -> str:
        """A sentence where no line names a trace although the settings look for one."""
        return self._intake.untraced(whole=True)

    def summary(self) -> Summary:
        """The counts so far."""
        return Summary(
            lines=self._intake.lines,
            events=self._events,
            sources=len(self._sources),
            rejects=self._rejects,
            alerts=self._alerts,
            expected_alerts=self._expected(),
            bundle=self._core.bundle.id,
        )

    def _step(self, batch: Batch, *, is_last: bool = False) -> Step:
        names = sorted(sources_of(batch.lines) | self.states.due(batch.latest_us))
        loaded = self.states.load(self.states.states if batch.close_all else names)
        done = advance(loaded, batch, self._core.bundle, self._core.policy, self._core.explain)
        self.states.keep(done.states, done.due_us)
        if self._hops is not None:
            done.revisions.extend(self._hops.take(batch))
            if is_last:
                done.revisions.extend(self._last_of(self._hops))
        step = Step(done, self._intake.take_rejects())
        self._count(batch, step)
        return step

    def _last_of(self, hops: Hops) -> list[Revision]:
        now_us = self._intake.clock_us - self._core.policy.lateness_us
        return hops.pass_time(now_us) if self._keep_open else hops.finish(now_us)

    def _count(self, batch: Batch, step: Step) -> None:
        self._events += sum(not line.continuation for line in batch.lines) - step.done.dropped
        self._rejects += len(step.rejects)
        self.dropped += step.done.dropped
        self._sources.update(map(hash, sources_of(batch.lines)))
        self._alerts += sum(revision.revision == 1 for revision in step.done.revisions)
        self._sessions += len(step.done.closed)
        if self._first_us is None:
            self._first_us = next((line.time_us for line in batch.lines if line.time_us is not None), None)

    def _expected(self) -> float | None:
        """False alerts that the budget allows over what was read."""
        budget = self._core.policy.budget
        if self._core.policy.session:
            return round(budget * self._sessions / PER_SESSIONS, 4)
        if self._first_us is None:
            return None
        return round(budget * max(0, self._intake.clock_us - self._first_us) / DAY_US, 4)
