"""The core with a shell in memory around it, and events cut into batches of any sizes."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from detector.bundle import Bundle
from detector.pipeline import Advance, Batch, advance
from detector.records import Alert, ClosedSource, Line, Revision, ScoredEvent
from detector.shard.clocks import Clocks
from detector.stages.judge.policy import Policy
from detector.stages.judge.state import SourceState, decode, encode
from tests.small_bundle import EXPLAIN, SECOND, TEMPLATES, small_bundle
from training.model.settings import Cell

CELLS = ["gru", "lstm", "rnn"]

Event = tuple[int, int, int | None, bool]  # source, token, seconds since the one before, continuation

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, TEMPLATES).map(lambda i: 0 if i == TEMPLATES else i + 2),
        st.sampled_from([0, 0, 0, 1, 1, 2, 5, 25, 40, 100, -1, -2, -60, 500, -400, None]),
        st.sampled_from([False] * 7 + [True]),
    ),
    min_size=1,
    max_size=120,
)
FALL = 100 * SECOND  # a clock that is so far behind the one before has been set back
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=12)


def bundles_of(cell: Cell, factory: pytest.TempPathFactory) -> dict[bool, Bundle]:
    """A bundle for long-lived sources (False) and one for sessions (True) with this kind of cell."""
    return {
        session: small_bundle(factory.mktemp("bundle"), session=session, cell=cell)
        for session in (False, True)
    }


class Shard:
    """A shell in memory: states go through their codec between batches, as they would through a store."""

    def __init__(self, bundle: Bundle, rules: Policy) -> None:
        """Start with nothing."""
        self.bundle, self.rules = bundle, rules
        self.states: dict[str, bytes] = {}
        self.due: dict[str, int] = {}
        self.revisions: list[Revision] = []
        self.closed: list[ClosedSource] = []
        self.events: list[ScoredEvent] = []
        self.late = 0

    def run(self, batch: Batch) -> Advance:
        """Advance by one batch and keep its effects."""
        wanted = {line.source for line in batch.lines}
        wanted |= {source for source, due in self.due.items() if due < batch.latest_us}
        states = {s: decode(self.states[s], self.bundle.id) for s in wanted if s in self.states}
        done = advance(states, batch, self.bundle, self.rules, EXPLAIN)
        for source, state in done.states.items():
            self._keep(source, state, done.due_us.get(source))
        self.revisions += done.revisions
        self.closed += done.closed
        self.events += done.events
        self.late += done.late
        return done

    def settle(self, clock_us: int) -> None:
        """Say what the clock alone calls for; what has been said is not due again."""
        self.run(Batch([], [], [], clock_us))
        assert all(due >= clock_us for due in self.due.values())

    def _keep(self, source: str, state: SourceState | None, due: int | None) -> None:
        self.states.pop(source, None)
        self.due.pop(source, None)
        if state is not None:
            self.states[source] = encode(state, self.bundle.id)
            if due is not None:
                self.due[source] = due

    def summary(self) -> dict[str, Any]:
        """What must not depend on cuts: states, alerts' revisions, closed sources, scores and counts."""
        return {
            "states": dict(sorted(self.states.items())),
            "revisions": sorted((r.alert_id, r.revision, r.payload) for r in self.revisions),
            "closed": sorted(msgspec.json.encode(c) for c in self.closed),
            "events": sorted(msgspec.json.encode(e) for e in self.events),
            "late": self.late,
        }


class Arrival(msgspec.Struct):
    """Lines in the order of arrival, with the clocks that a shard keeps beside them."""

    lines: list[Line]
    tokens: list[int]
    clocks: list[int]  # of its origin, before each line
    closing: list[int]  # the shard's, after each line
    falls: list[tuple[int, int]]


def arrived(events: list[Event], origins: int) -> Arrival:
    """Events as they come; each source is of one origin, and each origin has a clock of its own.

    As `decode` gives it, a continuation has no time of its own and moves no clock.
    """
    found, clocks = Arrival([], [], [], [], []), Clocks({})
    now = dict.fromkeys(range(origins), 1_700_000_000 * SECOND)
    for offset, (source, token, wait, continuation) in enumerate(events):
        number = source % origins
        now[number] += 0 if continuation else (wait or 0) * SECOND
        time_us = None if wait is None else now[number]
        text, origin = f"line {offset} token {token}".encode(), f"{number}.log"
        found.lines.append(Line(origin, offset, -1, f"s{source}", time_us, "INFO", text, text, continuation))
        found.tokens.append(token)
        clock = clocks.of(origin)
        found.clocks.append(clock)
        if time_us is not None and not continuation:
            clock = time_us if time_us < clock - FALL else max(clock, time_us)
        if (fallen_us := clocks.follow(origin, clock)) is not None:
            found.falls.append((offset, fallen_us))
        found.closing.append(clocks.closing_us())
    return found


def batches(events: list[Event], sizes: Iterator[int], origins: int = 1) -> Iterator[Batch]:
    """The events cut into batches of the given sizes."""
    all_ = arrived(events, origins)
    start = 0
    while start < len(events):
        ends = min(start + next(sizes), len(events))
        taken = slice(start, ends)
        yield Batch(
            all_.lines[taken],
            all_.tokens[taken],
            all_.clocks[taken],
            all_.closing[ends - 1] or None,
            falls=[(at - start, fallen_us) for at, fallen_us in all_.falls if start <= at < ends],
        )
        start = ends


def cycle(cuts: list[int]) -> Iterator[int]:
    """The sizes over and over."""
    while True:
        yield from cuts


def steady(count: int, token: Callable[[int], int], wait: int = 1) -> list[Event]:
    """A source that says the same things in turn."""
    return [(0, token(i), wait, False) for i in range(count)]


def decoded(revisions: list[Revision]) -> list[Alert]:
    """The alerts as a receiver reads them."""
    return [msgspec.json.decode(revision.payload, type=Alert) for revision in revisions]


def instant(text: str | None) -> datetime:
    """A time of an alert."""
    assert text is not None
    return datetime.fromisoformat(text)


def run_whole(bundle: Bundle, rules: Policy, events: list[Event]) -> Shard:
    """Everything in one batch."""
    shard = Shard(bundle, rules)
    for batch in batches(events, cycle([len(events)])):
        shard.run(batch)
    return shard


def same_text(batch: Batch) -> Batch:
    """The batch with lines that all say the same."""
    lines = [msgspec.structs.replace(line, message=b"fault", text=b"fault") for line in batch.lines]
    return Batch(lines, batch.tokens, batch.clocks, batch.clock_us, falls=batch.falls)


def whole_and_cut(
    bundle: Bundle, rules: Policy, events: list[Event], cuts: list[int], origins: int = 1
) -> tuple[Shard, Shard]:
    """The same events in one batch, and in batches of these sizes with a tick after each."""
    whole, cut = Shard(bundle, rules), Shard(bundle, rules)
    for batch in batches(events, cycle([len(events)]), origins):
        whole.run(batch)
    for batch in batches(events, cycle(cuts), origins):
        cut.run(batch)
        cut.settle(batch.clock_us or 0)
    whole.settle(batch.clock_us or 0)
    return whole, cut
