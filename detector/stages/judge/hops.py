"""Say of a source that its requests have become slow: the lines of one log that name a trace, in order. Pure.

Every decision depends on those lines alone, never on where a batch was cut, nor on other logs.
"""

import msgspec

from detector.bundle import HopCalibration
from detector.records import Line, Revision, SlowHop
from detector.stages.judge import alerts
from detector.stages.judge.alerts import SLOW, Naming, Opening
from detector.stages.judge.evidence import known_template, severity
from detector.stages.judge.hop_state import HopState, Slowness, Waiting
from detector.stages.judge.hop_sums import (
    FADE_S,
    HELD,
    RECEIVER,
    SECOND_US,
    WAIT_US,
    Hop,
    add,
    due,
    in_order,
    measured,
)
from detector.stages.judge.policy import Explain
from detector.stages.judge.state import OpenAlert, SourceState

OVER_US = round(4 * FADE_S * SECOND_US)  # by then a sum has faded to a fiftieth


class HopPolicy(msgspec.Struct, frozen=True):
    """When slow hops are worth an alert, and when it is over."""

    learnt: HopCalibration
    resolve_us: int  # an alert is over after this long without a flag, or sooner
    naming: Naming
    explain: Explain


def follow(state: HopState, line: Line, token: int, clock_us: int, policy: HopPolicy) -> list[Revision]:
    """Take the next line that names a trace, with its log's clock before it, and say what is called for."""
    return _in_turn(state, in_order(state, line, token, clock_us), policy)


def is_due(state: HopState, now_us: int, policy: HopPolicy) -> bool:
    """Whether time alone calls for something by now."""
    by_us = now_us - WAIT_US
    if state.waiting and state.waiting[0].time_us <= by_us:
        return True
    return any(_over_us(alert, policy) < by_us for alert in state.alerts.values())


def pass_time(state: HopState, now_us: int, policy: HopPolicy) -> list[Revision]:
    """Judge what has waited for long enough by now, then resolve what is over by the time of that.

    In so many steps or in one, it comes to the same: what still waits is of a later time than what is over.
    """
    said = _in_turn(state, due(state, now_us), policy)
    return said + _resolved(state, now_us - WAIT_US, policy)


def flush(state: HopState, policy: HopPolicy) -> list[Revision]:
    """Judge the lines that still wait: nothing comes any more."""
    return _in_turn(state, due(state, 0, len(state.waiting)), policy)


def _in_turn(state: HopState, turns: list[Waiting], policy: HopPolicy) -> list[Revision]:
    return [revision for one in turns for revision in _judged(state, one, policy)]


def _judged(state: HopState, line: Waiting, policy: HopPolicy) -> list[Revision]:
    hop = measured(state, line, policy.learnt)
    said = _resolved(state, state.now_us, policy) if state.alerts else []
    if hop is not None:
        revision = _counted(state, line, hop, policy)
        said += [] if revision is None else [revision]
    return said


def _resolved(state: HopState, by_us: int, policy: HopPolicy) -> list[Revision]:
    said = []
    for source, alert in list(state.alerts.items()):
        over_us = _over_us(alert, policy)
        if by_us > over_us:
            del state.alerts[source]
            said.append(alerts.resolve(alert, over_us))
    return said


def _over_us(alert: OpenAlert, policy: HopPolicy) -> int:
    return (alert.flagged_us or 0) + min(OVER_US, policy.resolve_us)


def give_up(state: HopState) -> list[Revision]:
    """Resolve what is firing: nothing more is heard of these traces."""
    said = [alerts.resolve(alert, state.now_us) for alert in state.alerts.values()]
    state.alerts = {}
    return said


def _counted(state: HopState, line: Waiting, hop: Hop, policy: HopPolicy) -> Revision | None:
    """Count a hop for both its ends; where one of them is known to be slow, for that one alone."""
    sender, receiver = hop.before.source, line.source
    known = [source in state.alerts for source in (sender, receiver)]
    of_sender = 0.0 if known[1] and not known[0] else hop.nats
    of_receiver = 0.0 if known[0] and not known[1] else RECEIVER * hop.nats
    sums = {
        sender: add(state, sender, of_sender, policy.learnt, held=hop.held),
        receiver: add(state, receiver, of_receiver, policy.learnt, held=hop.held),
    }
    named = max(sums, key=lambda source: sums[source].nats)
    slow, alert = sums[named], state.alerts.get(named)
    if slow.nats < policy.learnt.limit_nats * (1.0 if alert is None else HELD):
        return None
    if alert is not None:
        return alerts.flag(alert, slow.hops, state.now_us, slow.nats)
    alert, revision = _opened(named, slow, state.log, line, hop, policy)
    alert.flagged_us = state.now_us
    state.alerts[named] = alert
    return revision


def _opened(
    named: str, slow: Slowness, log: str, line: Waiting, hop: Hop, policy: HopPolicy
) -> tuple[OpenAlert, Revision]:
    limit = policy.learnt.limit_nats
    opening = Opening(
        rule=SLOW,
        key=log,  # two logs with the same lines give two alerts
        severity=severity(line.level, slow.nats, limit),
        number=slow.hops,
        time_us=line.time_us,
        position=line.position,
        text=line.text,
        score=slow.nats,
        threshold=limit,
        surprise=None,
        template=known_template(line.token, policy.explain),
        expected=[],
        before=[(hop.before.position, hop.before.text)],
        hop=SlowHop(
            sender=hop.before.source,
            receiver=line.source,
            trace=line.trace,
            took_s=round(hop.took_s, 6),
            usual_s=round(hop.usual_s, 6),
        ),
    )
    life = SourceState(hidden=b"")  # an alert of a log's traces is of no source's life
    naming = msgspec.structs.replace(policy.naming, after_lines=0)
    revision = alerts.open_alert(life, named, opening, naming)
    return life.alerts[0], revision
