"""Turn surprise into alerts: one source's lines in order, one stretch at a time. Pure.

Every decision depends on the source's own lines and on the shard's clock as it stood at each
line, never on where a batch was cut.
"""

import msgspec

from detector.records import UNKNOWN, ClosedSource, Line, Revision, ScoredEvent
from detector.stages.judge import alerts, evidence, lives, ring
from detector.stages.judge.alerts import NEW_TEMPLATE, SEQUENCE, SILENCE
from detector.stages.judge.policy import Event, Explain, Policy, Stretch
from detector.stages.judge.silence import longest_gap_us, silence_deadline
from detector.stages.judge.state import MAX_PATTERNS, OpenAlert, SourceState
from detector.stages.judge.stream import WARM_EVENTS, flag_in_stream, novelty, pattern_hash

QUIET_EVENTS = 2000  # without a flag, before an alert of a long-lived source resolves


class Outcome(msgspec.Struct):
    """What judging has to say."""

    revisions: list[Revision]
    closed: list[ClosedSource]
    events: list[ScoredEvent]


def judge(stretch: Stretch, policy: Policy, explain: Explain, outcome: Outcome) -> None:
    """Take a stretch's lines into its state and say what they call for."""
    if policy.session and _nothing_to_say(stretch, policy):
        _take_quietly(stretch)
        return
    state, index = stretch.state, 0
    for line, token, clock in zip(stretch.lines, stretch.tokens, stretch.clocks, strict=True):
        if line.continuation:
            pass_time(stretch, None, clock, policy, explain, outcome)
            _collect(state, line, outcome, None)
        else:
            pass_time(stretch, line.time_us, clock, policy, explain, outcome)
            if state.number == 0 and state.alerts:
                outcome.revisions.extend(lives.bounded(state, line.time_us, policy))
            _judge_event(stretch, line, token, index, policy, explain, outcome)
            index += 1
        state.ring = ring.with_line(state.ring, line)


def _nothing_to_say(stretch: Stretch, policy: Policy) -> bool:
    """Whether no event of a session's stretch can open, feed or extend anything."""
    if policy.want_scores or stretch.state.alerts or stretch.score is None:
        return False
    if stretch.continued or UNKNOWN in stretch.tokens:
        return False
    largest, session = stretch.score.largest, policy.calibration.session
    if session is None or session.event.z(largest) >= policy.event_threshold:
        return False
    return largest <= policy.calibration.worst_bits


def _take_quietly(stretch: Stretch) -> None:
    state, lines, score = stretch.state, stretch.lines, stretch.score
    if not lines or score is None:
        return
    times = [line.time_us for line in lines if line.time_us is not None]
    if times:
        state.first_us = times[0] if state.first_us is None else state.first_us
        state.last_us = max(times) if state.last_us is None else max(state.last_us, *times)
    state.number += len(lines)
    state.surprise_max = max(state.surprise_max, score.largest)
    last = lines[-1]
    state.last_position, state.last_level, state.last_token = last.position, last.level, stretch.tokens[-1]
    state.ring = ring.with_events(state.ring, lines)


def _take_event(state: SourceState, line: Line, token: int) -> None:
    state.number += 1
    if line.time_us is not None:
        if state.first_us is None:
            state.first_us = line.time_us
        if state.last_us is None or line.time_us > state.last_us:
            state.last_us = line.time_us
    state.last_position, state.last_level, state.last_token = line.position, line.level, token
    state.unknown += token == UNKNOWN


def _judge_event(
    stretch: Stretch,
    line: Line,
    token: int,
    index: int,
    policy: Policy,
    explain: Explain,
    outcome: Outcome,
) -> None:
    state = stretch.state
    _take_event(state, line, token)
    surprise = float(stretch.score.surprise[index]) if stretch.score is not None else 0.0
    pattern = explain.pattern(line.message) if token == UNKNOWN else ""
    event = Event(line=line, token=token, index=index, surprise=surprise, pattern=pattern)
    flagged = (_flag_in_session if policy.session else flag_in_stream)(state, event, policy)
    scored, opened = (event.score, event.threshold), None
    if pattern and policy.calibration.new_template_alerts:
        opened = _new_template(stretch, event, policy, explain, outcome)
    event.score, event.threshold = scored
    if opened is None and flagged:
        opened = _sequence(stretch, event, policy, explain, outcome)
    if policy.session and surprise > max(state.surprise_max, policy.calibration.worst_bits):
        state.worst = evidence.remember_worst(stretch, event)
    state.surprise_max = max(state.surprise_max, surprise)
    _collect(state, line, outcome, opened)
    if policy.want_scores:
        outcome.events.append(_scored(stretch, event, opened, policy))


def _flag_in_session(state: SourceState, event: Event, policy: Policy) -> bool:
    session = policy.calibration.session
    event.score = session.event.z(event.surprise) if session is not None else 0.0
    event.threshold = policy.event_threshold
    if event.pattern and policy.calibration.new_template_alerts:
        event.news = _is_first(state, pattern_hash(event.pattern))
    return event.score >= event.threshold


def _is_first(state: SourceState, key: int) -> bool:
    """Whether a session alerts on this pattern for the first time; its memory of patterns is bounded."""
    known = key in state.patterns
    if known or alerts.has_room(state):
        state.patterns = [*(one for one in state.patterns if one != key), key][-MAX_PATTERNS:]
        return not known
    return False


def _sequence(
    stretch: Stretch, event: Event, policy: Policy, explain: Explain, outcome: Outcome
) -> OpenAlert | None:
    state = stretch.state
    alert = alerts.find_alert(state, SEQUENCE, "")
    if alert is None:
        opening = evidence.event_opening(stretch, event, explain, SEQUENCE)
        outcome.revisions.append(alerts.open_alert(state, stretch.source, opening, policy.naming))
        return state.alerts[-1]
    _add(outcome, alerts.flag(alert, state.number, event.line.time_us, event.score))
    return alert


def _new_template(
    stretch: Stretch, event: Event, policy: Policy, explain: Explain, outcome: Outcome
) -> OpenAlert | None:
    """Once per pattern of a source, where that is news."""
    state = stretch.state
    event.score, event.threshold = novelty(state, policy)
    alert = alerts.find_alert(state, NEW_TEMPLATE, event.pattern)
    if alert is not None:
        _add(outcome, alerts.flag(alert, state.number, event.line.time_us, event.score))
    elif event.news:
        opening = evidence.event_opening(stretch, event, explain, NEW_TEMPLATE, event.pattern)
        outcome.revisions.append(alerts.open_alert(state, stretch.source, opening, policy.naming))
        alert = state.alerts[-1]
    return alert


def _collect(state: SourceState, line: Line, outcome: Outcome, opened: OpenAlert | None) -> None:
    """Give the line to every alert that waits for lines, but for the one that it just opened."""
    for alert in state.alerts:
        if alert is not opened or alert.flags > 1:
            _add(outcome, alerts.add_after(alert, line))


def _add(outcome: Outcome, revision: Revision | None) -> None:
    if revision is not None:
        outcome.revisions.append(revision)


def _scored(stretch: Stretch, event: Event, opened: OpenAlert | None, policy: Policy) -> ScoredEvent:
    return ScoredEvent(
        source=stretch.source,
        position=event.line.position,
        time_us=event.line.time_us,
        token=event.token,
        warm=policy.session or stretch.state.number > WARM_EVENTS,
        surprise_bits=event.surprise,
        score=event.score,
        threshold=event.threshold,
        alert_id="" if opened is None else opened.alert_id,
    )


def pass_time(
    stretch: Stretch, time_us: int | None, clock: int, policy: Policy, explain: Explain, outcome: Outcome
) -> None:
    """Say what became true between the source's last event and now: silence, and alerts that are over.

    Now is the next event (`time_us`), or the shard's clock where it is further than the lateness allows.
    """
    state = stretch.state
    now = clock - policy.lateness_us if time_us is None else max(time_us, clock - policy.lateness_us)
    if state.alerts:
        _resolve_quiet(state, now, policy, outcome)
    stream = policy.calibration.stream
    if stream is None or state.last_us is None or state.ended:
        return
    deadline = silence_deadline(state, policy)
    if deadline is not None and now > deadline and not state.silent:
        state.silent = True
        gap_us = longest_gap_us(state, stream.silence_gap_us)
        opening = evidence.silence_opening(stretch, explain, gap_us, deadline - state.last_us)
        outcome.revisions.append(alerts.open_alert(state, stretch.source, opening, policy.naming))
    if time_us is not None:
        _end_gap(state, time_us, now, stream.silence_gap_us, outcome)


def _end_gap(state: SourceState, time_us: int, now: int, usual_us: int, outcome: Outcome) -> None:
    gap = time_us - (state.last_us or 0)
    if state.silent:
        state.silent = False
        # A reported outage is not the source's new habit, but a source that slows down, or whose
        # clock is behind the others', is: its next gap may be twice as long.
        gap = min(now - (state.last_us or 0), 2 * longest_gap_us(state, usual_us))
        silence = alerts.find_alert(state, SILENCE, "")
        if silence is not None:
            state.alerts.remove(silence)
            outcome.revisions.append(alerts.resolve(silence, time_us))
    state.gap_max_us = max(state.gap_max_us, gap)


def _resolve_quiet(state: SourceState, now: int, policy: Policy, outcome: Outcome) -> None:
    for alert in list(state.alerts):
        over, at = _is_over(state, alert, now, policy)
        if over:
            state.alerts.remove(alert)
            outcome.revisions.append(alerts.resolve(alert, at))


def _is_over(state: SourceState, alert: OpenAlert, now: int, policy: Policy) -> tuple[bool, int | None]:
    """Whether an alert is over by now, and since when; a silence is over with the next line alone."""
    if alert.rule == SILENCE:
        return False, None
    quiet = not policy.session and state.number - alert.flagged_number >= QUIET_EVENTS
    if alert.flagged_us is None:
        return quiet, None
    over_us = alert.flagged_us + policy.resolve_us
    # Many quiet events were enough before this time was: so it is wherever they were looked at.
    if quiet and alert.flagged_us + policy.quiet_us < (state.last_us or 0) <= over_us:
        return True, state.last_us
    return now > over_us, over_us
