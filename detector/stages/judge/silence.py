"""From when on a long-lived source that says nothing has gone silent. Pure.

A source's longest gap is that of the time for which it was watched: training and its own life. How much
longer one has to be so that it is as rare as the alert budget asks for depends on that time: from a minute's
logs nothing follows for hours.
"""

from detector.stages.judge.budget import DAY_US, silence_limit_us
from detector.stages.judge.policy import Policy
from detector.stages.judge.state import SourceState

ARMED_EVENTS = 200  # before a gap can be silence


def silence_deadline(state: SourceState, policy: Policy) -> int | None:
    """When a source that stays quiet has been quiet for too long; None for never."""
    stream = policy.calibration.stream
    if stream is None or state.last_us is None or state.number < ARMED_EVENTS:
        return None
    lived_us = max(0, state.last_us - (state.first_us or 0))
    watched_us = policy.calibration.days * DAY_US + lived_us
    gap_us = longest_gap_us(state, stream.silence_gap_us)
    limit_us = silence_limit_us(stream, gap_us, watched_us, policy.budget)
    return None if limit_us is None else state.last_us + limit_us


def longest_gap_us(state: SourceState, usual_us: int) -> int:
    """The longest gap that is no silence: the source's own so far, or a usual source's in training."""
    return max(state.gap_max_us, usual_us)
