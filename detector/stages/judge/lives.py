"""What one life of a source leaves to the next: alerts to resolve, and how to tell the two apart. Pure."""

from detector.records import Revision
from detector.stages.judge import alerts
from detector.stages.judge.policy import Policy
from detector.stages.judge.state import SourceState


def end_life(state: SourceState) -> None:
    """Keep of a life that is over only what its alerts and the lives after it still need."""
    if state.alert_ids or state.earlier:
        known = [at for at in (state.last_us, state.remembered_us) if at is not None]
        state.earlier, state.remembered_us = state.earlier + 1, max(known, default=None)
    state.ended = True
    state.hidden, state.counts = b"", b""
    state.ring, state.patterns, state.alert_ids = b"", [], []
    state.worst, state.rarity = None, None
    for alert in state.alerts:
        alert.after_wanted, alert.of_life = 0, False
        alert.flagged_us = state.last_us if alert.flagged_us is None else alert.flagged_us


def begin_life(
    state: SourceState, before: SourceState, time_us: int | None, clock: int, policy: Policy
) -> None:
    """Give a new life what the one before it left; `time_us` and `clock` are those of its first line."""
    state.alerts = before.alerts
    now = clock - policy.lateness_us
    if before.earlier and not _is_forgotten(before, now if time_us is None else max(now, time_us), policy):
        state.earlier, state.remembered_us = before.earlier, before.remembered_us


def is_wanted(state: SourceState, clock: int, policy: Policy) -> bool:
    """Whether what a life that is over left is still needed by this clock."""
    remembered = state.earlier > 0 and not _is_forgotten(state, clock - policy.lateness_us, policy)
    return remembered or bool(state.alerts)


def forgotten_us(state: SourceState, policy: Policy) -> int | None:
    """When nothing tells a later life from these any more; None where there is nothing to tell.

    By then only a line that has no time, or one that is later than this, could begin like one of them.
    """
    if not state.earlier or state.remembered_us is None:
        return None
    return state.remembered_us + policy.remember_us


def _is_forgotten(state: SourceState, now: int, policy: Policy) -> bool:
    at = forgotten_us(state, policy)
    return at is not None and now > at


def bounded(state: SourceState, time_us: int | None, policy: Policy) -> list[Revision]:
    """As a life begins, resolve the oldest alerts of the lives before it that are too many to carry on."""
    excess = state.alerts[: max(0, len(state.alerts) - policy.max_carried)]
    state.alerts = state.alerts[len(excess) :]
    return [alerts.resolve(one, one.flagged_us if time_us is None else time_us) for one in excess]
