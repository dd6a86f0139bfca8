"""Judge sources while one bundle succeeds another: each by the older until the newer is warm. Pure.

Which bundle a line counts for depends on its source's own lines and on the clock at each, never on where a
batch was cut. A session that was open when the newer bundle came is the older's to its end; the source's next
life is the newer's. A long-lived source is judged by the older while the newer one follows, and says nothing,
until that has had WARM_EVENTS of it. Nothing is said twice and nothing by neither.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from detector.pipeline import Advance, Batch, advance, sources_of, without_falls
from detector.records import UNKNOWN, Line
from detector.shard.core import Core
from detector.shard.sides import Sides, handed_over, retire
from detector.stages.judge import closing
from detector.stages.judge.judge import Outcome, pass_time
from detector.stages.judge.policy import Policy, Stretch
from detector.stages.judge.state import SourceState
from detector.stages.judge.stream import WARM_EVENTS


class Pair(msgspec.Struct, frozen=True):
    """Two bundles at work."""

    old: Core
    new: Core
    until_us: int | None  # a source that comes after this is not waited for any more
    as_before: Callable[[list[Line]], list[Line]]  # lines as the older bundle reads them


class Told(NamedTuple):
    """What each bundle did, without the states; all due times are with the newer one's."""

    old: Advance
    new: Advance

    def together(self) -> Advance:
        """Both as one; of an alert that went over, the older bundle's revisions come first."""
        old, new = self
        return Advance(
            {},
            new.due_us,
            old.revisions + new.revisions,
            old.closed + new.closed,
            old.events + new.events,
            old.late + new.late,
            old.dropped + new.dropped,
        )


def advance_both(sides: dict[str, Sides], batch: Batch, pair: Pair) -> tuple[dict[str, Sides | None], Told]:
    """Advance sources by a batch, as `pipeline.advance` does."""
    told = Told(_nothing(), _nothing())
    left: dict[str, Sides | None] = {}
    parts = without_falls(batch)
    due = {source: due_us(one, pair) for source, one in sides.items()} if len(parts) > 1 else {}
    for part in parts:
        needed = sides if len(parts) == 1 else _needed(sides, due, part)
        left |= _advance_part(needed, part, pair, told)
        due |= told.new.due_us
        sides = {source: one for source, one in (sides | left).items() if one is not None}
    return left, told


def due_us(sides: Sides, pair: Pair) -> int | None:
    """The shard's clock from which time alone changes something about this source; None for never."""
    found = [
        closing.due_us(state, core.policy)
        for state, core in ((sides.old, pair.old), (sides.new, pair.new))
        if state is not None
    ]
    return min((at for at in found if at is not None), default=None)


def _needed(sides: dict[str, Sides], due: dict[str, int | None], part: Batch) -> dict[str, Sides]:
    named, clock_us = sources_of(part.lines), part.clock_us or 0
    return {
        source: one
        for source, one in sides.items()
        if source in named or ((at := due[source]) is not None and at < clock_us)
    }


def _advance_part(sides: dict[str, Sides], part: Batch, pair: Pair, told: Told) -> dict[str, Sides | None]:
    """A part within which no clock falls."""
    olds = {source: one for source, one in sides.items() if one.old is not None}
    turns = _turns(olds, part, pair)
    stay = {source: one for source, one in olds.items() if source not in turns}
    leave = {source: one for source, one in olds.items() if source in turns}
    cut = _Cut(part, stay, turns)
    kept = _follow(stay, part, cut.stay, part.clock_us, pair, told)
    kept |= _follow(leave, part, cut.leave, None, pair, told)
    for source, at in turns.items():
        kept[source].old = _left(source, kept[source].old, part, at, pair, told)
    after: dict[str, Sides | None] = {}
    news = {source: one.new for source, one in sides.items() if one.old is None and one.new is not None}
    for source, one in kept.items():
        if one.old is not None and not one.old.ended:
            after[source] = one
            told.new.due_us[source] = due_us(one, pair)
            continue
        after[source] = None
        state = handed_over(one.old, one.new)
        if state is not None:
            news[source] = state
    done = _advance(news, _taken(part, cut.new, part.clock_us, part.tokens), pair.new)
    _say(done, told.new)
    told.new.due_us |= done.due_us
    return after | {
        source: None if state is None else Sides(None, state) for source, state in done.states.items()
    }


class _Cut:
    """Which lines of a part go where, by their index."""

    def __init__(self, part: Batch, stay: dict[str, Sides], turns: dict[str, int]) -> None:
        self.stay: list[int] = []  # of sources that remain the older bundle's
        self.leave: list[int] = []  # of those that turn, before they do
        self.new: list[int] = []
        for index, line in enumerate(part.lines):
            if line.source in stay:
                self.stay.append(index)
            elif index < turns.get(line.source, 0):
                self.leave.append(index)
            else:
                self.new.append(index)


def _turns(olds: dict[str, Sides], part: Batch, pair: Pair) -> dict[str, int]:
    """The first line, by its index, of each source that is the newer bundle's from there on."""
    by_source: dict[str, list[int]] = {}
    for index, line in enumerate(part.lines):
        if line.source in olds:
            by_source.setdefault(line.source, []).append(index)
    found = ((source, _turn(olds[source], indices, part, pair)) for source, indices in by_source.items())
    return {source: at for source, at in found if at is not None}


def _turn(sides: Sides, indices: Iterable[int], part: Batch, pair: Pair) -> int | None:
    last_us, seen = None if sides.old is None else sides.old.last_us, sides.seen
    for index in indices:
        line, clock_us = part.lines[index], part.clocks[index]
        if line.continuation:
            continue
        late = pair.until_us is not None and clock_us > pair.until_us
        warm = not pair.old.policy.session and (seen >= WARM_EVENTS or late)
        if warm or _is_over(last_us, line.time_us, clock_us, pair.old.policy):
            return index
        seen += 1
        if line.time_us is not None and (last_us is None or line.time_us > last_us):
            last_us = line.time_us
    return None


def _is_over(last_us: int | None, time_us: int | None, clock_us: int, policy: Policy) -> bool:
    """Whether a line begins a new life, as the pipeline cuts them."""
    if last_us is None or policy.idle_us is None:
        return False
    limit = last_us + policy.idle_us
    return clock_us - policy.lateness_us > limit or (time_us is not None and time_us > limit)


def _follow(
    sides: dict[str, Sides],
    part: Batch,
    indices: list[int],
    clock_us: int | None,
    pair: Pair,
    told: Told,
) -> dict[str, Sides]:
    """Let the older bundle judge lines, and the newer one follow where that makes it warm."""
    old_batch = _taken(part, indices, clock_us, None)
    old_batch.lines = lines = pair.as_before(old_batch.lines)
    match = pair.old.parser.match
    old_batch.tokens = [UNKNOWN if line.continuation else match(line.message) for line in lines]
    done = _advance({s: one.old for s, one in sides.items() if one.old is not None}, old_batch, pair.old)
    _say(done, told.old)
    if pair.old.policy.session:
        return {source: Sides(done.states[source], None) for source in sides}
    beside = _advance(
        {source: one.new for source, one in sides.items() if one.new is not None},
        _taken(part, indices, clock_us, part.tokens),
        pair.new,
    )
    seen = {source: one.seen for source, one in sides.items()}
    for line in old_batch.lines:
        seen[line.source] += not line.continuation
    return {source: Sides(done.states[source], beside.states.get(source), seen[source]) for source in sides}


def _left(
    source: str, state: SourceState | None, part: Batch, at: int, pair: Pair, told: Told
) -> SourceState | None:
    """What the older bundle leaves of a source whose next line is the newer one's."""
    if state is None or state.ended:
        return state
    line, clock_us, core = part.lines[at], part.clocks[at], pair.old
    policy = core.policy
    if _is_over(state.last_us, line.time_us, clock_us, policy):
        # The first instant at which the clock alone would end it.
        over_us = (state.last_us or 0) + (policy.idle_us or 0) + policy.lateness_us + 1
        done = _advance({source: state}, Batch([], [], [], over_us), core)
        _say(done, told.old)
        return done.states[source]
    outcome = Outcome([], [], [])
    pass_time(Stretch(source, state, [], [], []), line.time_us, clock_us, policy, core.explain, outcome)
    told.old.revisions += outcome.revisions + retire(state, line.time_us)
    return state


def _taken(part: Batch, indices: list[int], clock_us: int | None, tokens: list[int] | None) -> Batch:
    return Batch(
        [part.lines[index] for index in indices],
        [] if tokens is None else [tokens[index] for index in indices],
        [part.clocks[index] for index in indices],
        clock_us,
    )


def _advance(states: dict[str, SourceState], batch: Batch, core: Core) -> Advance:
    if not states and not batch.lines:
        return _nothing()
    return advance(states, batch, core.bundle, core.policy, core.explain)


def _nothing() -> Advance:
    return Advance({}, {}, [], [], [], 0, 0)


def _say(done: Advance, whole: Advance) -> None:
    """Add what is said to people and counted."""
    whole.revisions += done.revisions
    whole.closed += done.closed
    whole.events += done.events
    whole.late += done.late
    whole.dropped += done.dropped
