"""A source is said to be silent after a time that what was seen of it supports."""

import msgspec
import pytest

from detector.bundle import Bundle
from detector.stages.judge.policy import Policy
from detector.stages.judge.silence import ARMED_EVENTS, silence_deadline
from detector.stages.judge.state import SourceState, new_state
from tests.small_bundle import SECOND, policy, small_bundle, stream_calibration
from training.report.longlived import of_silence

DAY_US = 86_400 * SECOND
MINUTE = 60 / 86_400  # days


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One for long-lived sources."""
    return small_bundle(tmp_path_factory.mktemp("bundle"), session=False)


def rules_of(bundle: Bundle, days: float, sources: int = 1, budget: float = 1.0) -> Policy:
    """Rules of a bundle that was fitted on so much; the longest usual gap was a second."""
    stream = msgspec.structs.replace(stream_calibration(), sources=sources)
    calibration = msgspec.structs.replace(bundle.calibration, stream=stream, days=days)
    return msgspec.structs.replace(policy(bundle), calibration=calibration, budget=budget)


def lived(days: float) -> SourceState:
    """A source that has had lines for so long, none of them far apart."""
    state = new_state(4, session=False)
    state.number, state.first_us, state.last_us = ARMED_EVENTS, 0, round(days * DAY_US)
    return state


def silent_after_s(state: SourceState, rules: Policy) -> float:
    """How long it may be quiet."""
    deadline = silence_deadline(state, rules)
    assert deadline is not None
    assert state.last_us is not None
    return (deadline - state.last_us) / SECOND


def test_long_training_lets_silence_be_said_after_three_gaps(bundle: Bundle) -> None:
    """More than that asks for nothing, however long it was."""
    assert silent_after_s(lived(0.0), rules_of(bundle, days=3.0)) == pytest.approx(3.0)
    assert silent_after_s(lived(0.0), rules_of(bundle, days=300.0)) == pytest.approx(3.0)


def test_a_minute_of_training_says_nothing_of_the_next_minutes(bundle: Bundle) -> None:
    """Its longest gap is no limit for an hour, with many sources not for a day."""
    assert silent_after_s(lived(0.0), rules_of(bundle, days=MINUTE)) > 2_000
    assert silent_after_s(lived(0.0), rules_of(bundle, days=MINUTE, sources=100)) > 86_400


def test_the_longer_a_source_was_watched_the_sooner_it_is_missed(bundle: Bundle) -> None:
    """Its own life counts as training does; a budget that allows more asks for less."""
    rules = rules_of(bundle, days=MINUTE, sources=10)
    times = [silent_after_s(lived(days), rules) for days in (0.0, 0.1, 1.0, 5.0, 50.0)]
    assert times == sorted(times, reverse=True)
    assert times[-1] == pytest.approx(3.0)
    assert silent_after_s(lived(1.0), rules_of(bundle, MINUTE, 10, budget=5.0)) < times[2]


def test_fit_says_when_silence_will_be_noticed_late() -> None:
    """With the time it takes at first; nothing where training was long enough, or lines have no times."""
    [warning] = of_silence(stream_calibration(), MINUTE, 1.0)
    assert "after 48 min without a line" in warning
    assert list(of_silence(stream_calibration(), 3.0, 1.0)) == []
    timeless = msgspec.structs.replace(stream_calibration(), silence_factor=0.0)
    assert list(of_silence(timeless, 0.0, 1.0)) == []
