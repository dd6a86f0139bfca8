"""Cut each source's lines at the endings of its lives. Pure."""

from itertools import dropwhile

from detector.bundle import Bundle
from detector.pipeline.batch import Batch
from detector.stages.judge.lives import begin_life
from detector.stages.judge.pauses import goes_on
from detector.stages.judge.policy import Policy, Stretch
from detector.stages.judge.state import SourceState, new_state


def stretches_of(
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
    late = 0
    if state is None or state.ended:
        indices = list(dropwhile(lambda i: lines[i].continuation, indices))  # of a life that is over
        if indices:
            first = indices[0]
            state = _newborn(state, size, lines[first].time_us, clocks[first], policy)
            late = _is_late(lines[first].time_us, clocks[first], policy)
    if state is None:
        return 0
    stretch = Stretch(source, state, [], [], [])
    last = state.last_us
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
                late += _is_late(time_us, clocks[index], policy)
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


def _is_late(time_us: int | None, clock: int, policy: Policy) -> bool:
    """Whether the first line of a life comes when a life that had it last would be over.

    Whether there was such a life cannot be asked: of most that are over nothing is kept.
    """
    idle = policy.idle_us
    return time_us is not None and idle is not None and time_us + idle < clock - policy.lateness_us


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
    events = events_of(stretch)
    token = events[-1] if events else stretch.state.last_token
    return goes_on(session.pauses, token, batch.clock_us - last)


def events_of(stretch: Stretch) -> list[int]:
    """The tokens of its events, without continuations."""
    if stretch.continued:
        pairs = zip(stretch.lines, stretch.tokens, strict=True)
        return [token for line, token in pairs if not line.continuation]
    return stretch.tokens
