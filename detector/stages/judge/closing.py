"""The ending of a life: a session is judged as a whole, a long-lived source is let go. Pure."""

import msgspec

from detector.records import ClosedSource
from detector.stages.judge import alerts, evidence, lives
from detector.stages.judge.alerts import ENDED_EARLY, SEQUENCE, SILENCE
from detector.stages.judge.judge import Outcome
from detector.stages.judge.policy import Explain, Policy, Stretch
from detector.stages.judge.silence import silence_deadline
from detector.stages.judge.state import SourceState


def close_session(stretch: Stretch, score: float, policy: Policy, explain: Explain, outcome: Outcome) -> None:
    """Judge a session at its ending; its score is the sum of its tail-calibrated terms.

    Of one that the end of the input cut off, only the order of what it held is judged.
    """
    state, end_bits = stretch.state, _end_bits(stretch)
    anomalous = score >= policy.threshold
    if anomalous:
        _say_anomalous(stretch, score, end_bits, policy, explain, outcome)
    said_bits = None if stretch.cut_off else end_bits
    outcome.closed.append(_closed(stretch, score, policy, said_bits, anomalous=anomalous))
    lives.end_life(state)


def close_stream(stretch: Stretch, ended_us: int | None, policy: Policy, outcome: Outcome) -> None:
    """Let a long-lived source go: its alerts are over, and its largest leaky sum is its score."""
    state = stretch.state
    outcome.revisions.extend(alerts.resolve(alert, ended_us) for alert in state.alerts)
    state.alerts = []
    anomalous = state.score_max >= policy.threshold
    outcome.closed.append(_closed(stretch, state.score_max, policy, None, anomalous=anomalous))
    lives.end_life(state)


def resolve_all(state: SourceState, resolved_us: int | None, outcome: Outcome) -> None:
    """Resolve what is still firing at the end of a replay."""
    outcome.revisions.extend(alerts.resolve(alert, resolved_us) for alert in state.alerts)
    state.alerts = []


def due_us(state: SourceState, policy: Policy) -> int | None:
    """The shard's clock from which time alone changes something about this source; None for never."""
    deadlines = [
        alert.flagged_us + policy.resolve_us
        for alert in state.alerts
        if alert.flagged_us is not None and alert.rule != SILENCE
    ]
    if state.last_us is not None and policy.idle_us is not None and not state.ended:
        deadlines.append(state.last_us + policy.idle_us)
    silence = None if policy.session or state.silent or state.ended else silence_deadline(state, policy)
    if silence is not None:
        deadlines.append(silence)
    # What is left of a life that is over stays as long as its alerts, however long ago that was.
    forgotten = lives.forgotten_us(state, policy) if state.ended and not state.alerts else None
    if forgotten is not None:
        deadlines.append(forgotten)
    return min(deadlines) + policy.lateness_us if deadlines else None


def _end_bits(stretch: Stretch) -> float:
    if stretch.score is None or stretch.cut_off:
        return 0.0
    return float(stretch.score.surprise[-1])


def _say_anomalous(
    stretch: Stretch, score: float, end_bits: float, policy: Policy, explain: Explain, outcome: Outcome
) -> None:
    state, worst = stretch.state, stretch.state.worst
    alert = alerts.find_alert(state, SEQUENCE, "")
    if alert is not None:
        revision = alerts.flag(alert, state.number, state.last_us, score)
        outcome.revisions.extend([revision] if revision is not None else [])
        return
    if worst is not None and worst.surprise > end_bits:
        opening = evidence.worst_opening(worst, score, policy.threshold, explain, SEQUENCE)
    else:
        ending = len(stretch.score.surprise) - 1 if stretch.score is not None else 0
        likely = stretch.expected(ending) if stretch.expected is not None else []
        rule = ENDED_EARLY if end_bits > state.surprise_max else SEQUENCE
        opening = evidence.last_opening(
            stretch,
            explain,
            rule,
            score=score,
            threshold=policy.threshold,
            surprise=end_bits,
            likely=likely,
        )
    opening = msgspec.structs.replace(opening, reading=evidence.second_reading(stretch.reading, explain))
    # The ending is an event of its own: an alert that the same line opened before has another id.
    outcome.revisions.append(
        alerts.open_alert(state, stretch.source, opening, policy.naming, number=state.number + 1)
    )
    # An alert said at the ending counts from there, whichever line is its evidence.
    state.alerts[-1].flagged_us = state.last_us


def _closed(
    stretch: Stretch, score: float, policy: Policy, end_bits: float | None, *, anomalous: bool
) -> ClosedSource:
    state = stretch.state
    return ClosedSource(
        source=stretch.source,
        first_us=state.first_us,
        last_us=state.last_us,
        events=state.number,
        unknown=state.unknown,
        max_surprise_bits=state.surprise_max,
        end_surprise_bits=end_bits,
        score=score,
        threshold=policy.threshold,
        anomalous=anomalous,
        alert_ids=state.alert_ids,
        cut_off=stretch.cut_off,
    )
