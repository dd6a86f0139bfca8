"""The core's one step: through every stage, source by source. Pure."""

from detector.bundle import Bundle
from detector.pipeline.batch import Advance, Batch, sources_of, without_falls
from detector.pipeline.scoring import score_stretches
from detector.pipeline.stretches import stretches_of
from detector.stages.judge import closing
from detector.stages.judge.judge import Outcome, judge, pass_time
from detector.stages.judge.lives import begin_life, is_wanted
from detector.stages.judge.policy import Explain, Policy, Stretch
from detector.stages.judge.state import SourceState


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
    for part in without_falls(batch):
        _add(whole, _advance(_needed(states, due, part), part, bundle, policy, explain))
        due |= whole.due_us
        states = {source: state for source, state in (states | whole.states).items() if state is not None}
    return whole


def forget(states: dict[str, SourceState], clock_us: int | None) -> Advance:
    """Let sources go unjudged, because what they did since is lost; their alerts are resolved."""
    outcome = Outcome([], [], [])
    for state in states.values():
        closing.resolve_all(state, clock_us, outcome)
    return Advance(dict.fromkeys(states), {}, outcome.revisions, [], [], 0, 0)


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
    stretches, late, dropped = stretches_of(states, batch, bundle, policy)
    outcome = Outcome([], [], [])
    totals = score_stretches(stretches, bundle, policy)
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
