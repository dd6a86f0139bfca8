"""The core: lines and their sources' states in, new states and what is to be said out. Pure.

No clock, no socket, no file, no environment; the same lines give the same outcome however they
are cut into batches. Time enters as the lines' own and as the shard's clock beside each line.
"""

from collections.abc import Iterable
from itertools import chain, dropwhile

import msgspec
import numpy as np

from detector.bundle import SLOTS, Bundle, SessionCalibration
from detector.records import END, ClosedSource, Line, Revision, ScoredEvent
from detector.stages.judge import closing
from detector.stages.judge.judge import Outcome, judge, pass_time
from detector.stages.judge.lives import begin_life, is_wanted
from detector.stages.judge.pauses import goes_on
from detector.stages.judge.policy import Explain, Policy, Stretch
from detector.stages.judge.state import SourceState, count_matrix, new_state
from detector.stages.score import ending
from detector.stages.score.score import expected, score_rows
from detector.stages.surprise import Row, RowScore, sums


class Batch(msgspec.Struct):
    """Lines in the order of the shard, with the token of each and the clock of its feed before it."""

    lines: list[Line]
    tokens: list[int]
    clocks: list[int]
    clock_us: int | None  # after the last line, or a tick's; None while nothing had a time
    close_all: bool = False  # a replay has read everything
    falls: list[tuple[int, int]] = []  # lines at which an origin's clock goes back, the shard's before each

    @property
    def latest_us(self) -> int:
        """The latest that the clock stood at: the sources that are due by then are needed too."""
        return max([self.clock_us or 0, *(clock for _, clock in self.falls)])


class Advance(msgspec.Struct):
    """What a batch did: the sources' states (None: gone), when each is due, and what is to be said."""

    states: dict[str, SourceState | None]
    due_us: dict[str, int | None]
    revisions: list[Revision]
    closed: list[ClosedSource]
    events: list[ScoredEvent]
    late: int  # lines that came after their life had been closed
    dropped: int  # lines without a source


def sources_of(lines: Iterable[Line]) -> set[str]:
    """The sources whose states a batch needs, beside those that are due."""
    return {line.source for line in lines if line.source}


def advance(
    states: dict[str, SourceState], batch: Batch, bundle: Bundle, policy: Policy, explain: Explain
) -> Advance:
    """Advance the given states by a batch; they are consumed.

    `states` holds those of the batch's sources that exist and those that are due by its latest clock.
    """
    if not batch.falls:
        return _advance(states, batch, bundle, policy, explain)
    whole = Advance({}, {}, [], [], [], 0, 0)
    due = {source: closing.due_us(state, policy) for source, state in states.items()}
    for part in _without_falls(batch):
        _add(whole, _advance(_needed(states, due, part), part, bundle, policy, explain))
        due |= whole.due_us
        states = {source: state for source, state in (states | whole.states).items() if state is not None}
    return whole


def _without_falls(batch: Batch) -> list[Batch]:
    """The batch, ended at each line at which a clock goes back.

    A batch that happened to end there would have said what the clock calls for until then; so must any.
    """
    parts, start = [], 0
    for end, clock_us in batch.falls:
        taken = slice(start, end)
        parts.append(Batch(batch.lines[taken], batch.tokens[taken], batch.clocks[taken], clock_us))
        start = end
    rest = slice(start, len(batch.lines))
    parts.append(
        Batch(
            batch.lines[rest],
            batch.tokens[rest],
            batch.clocks[rest],
            batch.clock_us,
            close_all=batch.close_all,
        )
    )
    return parts


def _needed(
    states: dict[str, SourceState], due: dict[str, int | None], part: Batch
) -> dict[str, SourceState]:
    """The states of a part's sources, and those that its clock changes something about."""
    named, clock_us = sources_of(part.lines), part.clock_us or 0
    return {
        source: state
        for source, state in states.items()
        if part.close_all or source in named or ((at := due[source]) is not None and at < clock_us)
    }


def _add(whole: Advance, part: Advance) -> None:
    """Add what a batch did to what those before it did."""
    whole.states |= part.states
    whole.due_us |= part.due_us
    whole.revisions += part.revisions
    whole.closed += part.closed
    whole.events += part.events
    whole.late += part.late
    whole.dropped += part.dropped


def _advance(
    states: dict[str, SourceState], batch: Batch, bundle: Bundle, policy: Policy, explain: Explain
) -> Advance:
    stretches, late, dropped = _stretches(states, batch, bundle, policy)
    outcome = Outcome([], [], [])
    totals = _score(stretches, bundle, policy)
    for index, (stretch, total) in enumerate(zip(stretches, totals, strict=True)):
        after = stretches[index + 1] if index + 1 < len(stretches) else None
        last = after is None or after.source != stretch.source
        judge(stretch, policy, explain, outcome)
        _settle(stretch, total, batch, policy, explain, outcome, last=last)
        if after is not None and not last:
            begin_life(after.state, stretch.state, after.lines[0].time_us, after.clocks[0], policy)
    left = {stretch.source: _left(stretch, batch, policy) for stretch in stretches}
    return Advance(
        states=left,
        due_us={source: closing.due_us(state, policy) for source, state in left.items() if state is not None},
        revisions=outcome.revisions,
        closed=outcome.closed,
        events=outcome.events,
        late=late,
        dropped=dropped,
    )


def _stretches(
    states: dict[str, SourceState], batch: Batch, bundle: Bundle, policy: Policy
) -> tuple[list[Stretch], int, int]:
    """Cut each source's lines at its endings."""
    by_source: dict[str, list[int]] = {}
    for index, line in enumerate(batch.lines):
        by_source.setdefault(line.source, []).append(index)
    dropped = len(by_source.pop("", []))
    stretches: list[Stretch] = []
    late = 0
    for source, indices in by_source.items():
        late += _cut(stretches, source, states.get(source), indices, batch, bundle, policy)
    for source, state in states.items():
        if source not in by_source:
            stretches.append(Stretch(source, state, [], [], []))
            _end_when_due(stretches[-1], batch, policy)
    return stretches, late, dropped


def _cut(
    stretches: list[Stretch],
    source: str,
    state: SourceState | None,
    indices: list[int],
    batch: Batch,
    bundle: Bundle,
    policy: Policy,
) -> int:
    lines, tokens, clocks = batch.lines, batch.tokens, batch.clocks
    size, session, idle = bundle.step.hidden_size, policy.session, policy.idle_us
    if state is None or state.ended:
        indices = list(dropwhile(lambda i: lines[i].continuation, indices))  # of a life that is over
        if indices:
            first = indices[0]
            state = _newborn(state, size, lines[first].time_us, clocks[first], policy)
    if state is None:
        return 0
    stretch = Stretch(source, state, [], [], [])
    last, late = state.last_us, 0
    for index in indices:
        line = lines[index]
        time_us = line.time_us
        if last is not None and idle is not None:
            limit = last + idle
            overdue = clocks[index] - policy.lateness_us > limit
            if line.continuation:
                if overdue:
                    continue
            elif overdue or (time_us is not None and time_us > limit):
                late += time_us is not None and time_us <= limit
                stretch.ends = True
                stretches.append(stretch)
                stretch = Stretch(source, new_state(size, session=session), [], [], [])
                last = None
        if time_us is not None and not line.continuation and (last is None or time_us > last):
            last = time_us
        stretch.continued = stretch.continued or line.continuation
        stretch.lines.append(line)
        stretch.tokens.append(tokens[index])
        stretch.clocks.append(clocks[index])
    stretches.append(stretch)
    _end_when_due(stretch, batch, policy, last)
    return late


def _newborn(
    before: SourceState | None, size: int, time_us: int | None, clock: int, policy: Policy
) -> SourceState:
    state = new_state(size, session=policy.session)
    if before is not None:
        begin_life(state, before, time_us, clock, policy)
    return state


def _end_when_due(stretch: Stretch, batch: Batch, policy: Policy, last: int | None = None) -> None:
    last = stretch.state.last_us if last is None else last
    if stretch.state.ended:
        return
    overdue = (
        last is not None
        and policy.idle_us is not None
        and batch.clock_us is not None
        and batch.clock_us - policy.lateness_us > last + policy.idle_us
    )
    stretch.ends = batch.close_all or overdue
    stretch.cut_off = batch.close_all and not overdue and _may_go_on(stretch, last, batch, policy)


def _may_go_on(stretch: Stretch, last: int | None, batch: Batch, policy: Policy) -> bool:
    session = policy.calibration.session
    if session is None or last is None or batch.clock_us is None:
        return False
    events = _events(stretch)
    token = events[-1] if events else stretch.state.last_token
    return goes_on(session.pauses, token, batch.clock_us - last)


def _score(stretches: list[Stretch], bundle: Bundle, policy: Policy) -> list[float]:
    """Score every stretch and every ended session; a number for each stretch, 0 where nothing ended."""
    scored: list[Stretch] = []
    rows: list[Row] = []
    for stretch in stretches:
        tokens = _events(stretch)
        if stretch.ends and policy.session and not stretch.cut_off:
            tokens = [*tokens, END]
        if tokens:
            state = stretch.state
            scored.append(stretch)
            rows.append(Row(tokens, np.frombuffer(state.hidden, np.float32), state.holds))
    scores = score_rows(bundle.step, rows, policy.calibration.hold_bits)
    for stretch, row, score, excess in zip(scored, rows, scores, sums(rows, scores), strict=True):
        stretch.state.excess_sum += excess
        _take_score(stretch, row, score, bundle)
    session = policy.calibration.session
    return [0.0] * len(stretches) if session is None else _totals(stretches, bundle, session)


def _events(stretch: Stretch) -> list[int]:
    if stretch.continued:
        pairs = zip(stretch.lines, stretch.tokens, strict=True)
        return [token for line, token in pairs if not line.continuation]
    return stretch.tokens


def _take_score(stretch: Stretch, row: Row, score: RowScore, bundle: Bundle) -> None:
    state = stretch.state
    state.hidden, state.holds = score.hidden.tobytes(), score.holds
    stretch.score = score
    stretch.expected = lambda index: expected(bundle.step, row, score, index)


def _totals(stretches: list[Stretch], bundle: Bundle, session: SessionCalibration) -> list[float]:
    totals = [0.0] * len(stretches)
    live = [index for index, stretch in enumerate(stretches) if not stretch.state.ended]
    if not live or bundle.ending is None:
        return totals
    counts = count_matrix([stretches[index].state for index in live])
    _add_counts(counts, [stretches[index] for index in live], session)
    for row, index in enumerate(live):
        stretches[index].state.counts = counts[row].tobytes()
    ended = [(row, index) for row, index in enumerate(live) if stretches[index].ends]
    if not ended:
        return totals
    at = [stretches[index] for _, index in ended]
    measures = ending.measure(
        bundle.ending,
        counts[[row for row, _ in ended]],
        unknown=[s.state.unknown + _events(s).count(0) for s in at],
        excess=[s.state.excess_sum for s in at],
        events=[s.state.number + len(_events(s)) + (not s.cut_off) for s in at],
        calibration=session,
    )
    for (_, index), measured in zip(ended, measures, strict=True):
        cut_off = stretches[index].cut_off
        totals[index] = ending.so_far(measured, session) if cut_off else ending.total(measured, session)
    return totals


def _add_counts(counts: np.ndarray, stretches: list[Stretch], session: SessionCalibration) -> None:
    """Count the new events in their slots, [B,64], up to what 16 bits hold."""
    slots = np.array(session.slots, np.int64)
    tokens = [_events(stretch) for stretch in stretches]
    rows = np.repeat(np.arange(len(stretches)), [len(t) for t in tokens])
    flat = np.array(list(chain.from_iterable(tokens)), np.int64)
    known = flat > 1
    added = np.bincount(rows[known] * SLOTS + slots[flat[known]], minlength=counts.size)
    room = np.iinfo(np.uint16).max - counts
    counts += np.minimum(added.reshape(counts.shape), room).astype(np.uint16)


def _settle(
    stretch: Stretch,
    total: float,
    batch: Batch,
    policy: Policy,
    explain: Explain,
    outcome: Outcome,
    *,
    last: bool,
) -> None:
    """After a stretch: its ending, or what the clock alone says of it; the batch's clock is for the last."""
    state, clock = stretch.state, batch.clock_us or 0
    if stretch.ends:
        # Wherever the batch ends, this life has ended then: later it neither falls silent nor recovers,
        # and its ending adds to no alert that was over by then.
        ended_us = _ended_us(state, policy)
        at_end = clock if ended_us is None else ended_us + policy.lateness_us
        at_end = min(at_end, clock) if batch.close_all else at_end
        pass_time(stretch, None, at_end, policy, explain, outcome)
        if policy.session:
            closing.close_session(stretch, total, policy, explain, outcome)
        else:
            closing.close_stream(
                stretch, None if ended_us is None else min(ended_us, at_end), policy, outcome
            )
    if last:
        pass_time(stretch, None, clock, policy, explain, outcome)
    if batch.close_all:
        closing.resolve_all(state, batch.clock_us, outcome)


def _ended_us(state: SourceState, policy: Policy) -> int | None:
    return None if state.last_us is None or policy.idle_us is None else state.last_us + policy.idle_us


def _left(stretch: Stretch, batch: Batch, policy: Policy) -> SourceState | None:
    """The state to keep; nothing of a life that is over and that nothing after it can be mistaken for."""
    if not stretch.state.ended:
        return stretch.state
    if batch.close_all or not is_wanted(stretch.state, batch.clock_us or 0, policy):
        return None
    return stretch.state
