"""From when on a long-lived source that says nothing has gone silent. Pure.

A source's longest gap is that of the time for which it was observed: training and its own life. How much
longer one has to be so that it is as rare as the alert budget asks for depends on that time: from a minute's
logs nothing follows for hours.
"""

from detector.bundle import StreamCalibration
from detector.stages.judge.budget import silence_least
from detector.stages.judge.policy import Policy
from detector.stages.judge.state import SourceState

ARMED_EVENTS = 200  # before a gap can be silence
DAY_US = 86_400e6


def silence_deadline(state: SourceState, policy: Policy) -> int | None:
    """When a source that stays quiet has been quiet for too long."""
    stream = policy.calibration.stream
    if stream is None or stream.silence_factor <= 0 or state.last_us is None or state.number < ARMED_EVENTS:
        return None
    factor = silence_factor(state, policy, stream)
    return state.last_us + int(factor * longest_gap_us(state, stream.silence_gap_us))


def silence_factor(state: SourceState, policy: Policy, stream: StreamCalibration) -> float:
    """How many times its longest gap a source has to be quiet."""
    lived_us = (state.last_us or 0) - (state.first_us or 0)
    days = policy.calibration.days + max(lived_us, 0) / DAY_US
    return max(stream.silence_factor, silence_least(stream, days, policy.budget))


def longest_gap_us(state: SourceState, usual_us: int) -> int:
    """The longest gap that is no silence: the source's own so far, or a usual source's in training."""
    return max(state.gap_max_us, usual_us)
