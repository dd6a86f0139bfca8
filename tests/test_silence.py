"""A source is said to be silent after a time that what was seen of it supports."""

import math

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
    """How long it may be quiet; for ever where nothing can be said."""
    deadline = silence_deadline(state, rules)
    if deadline is None:
        return math.inf
    assert state.last_us is not None
    return (deadline - state.last_us) / SECOND


def test_long_training_lets_silence_be_said_after_three_gaps(bundle: Bundle) -> None:
    """More than that asks for nothing, however long it was."""
    assert silent_after_s(lived(0.0), rules_of(bundle, days=1.0)) == pytest.approx(3.0)
    assert silent_after_s(lived(0.0), rules_of(bundle, days=300.0)) == pytest.approx(3.0)


@pytest.mark.parametrize("sources", [1, 10, 1_000])
def test_a_minute_of_training_says_nothing_of_the_next_minutes(bundle: Bundle, sources: int) -> None:
    """A pause may be usual that comes once in a while; nobody can know yet."""
    rules = rules_of(bundle, days=MINUTE, sources=sources)
    assert [silent_after_s(lived(days), rules) for days in (0.0, MINUTE)] == [math.inf, math.inf]


def test_no_silence_is_told_that_is_long_beside_the_time_watched(bundle: Bundle) -> None:
    """Whatever the source's gaps were."""
    for days in (0.001, 0.01, 0.1, 1.0, 10.0):
        for gap_s in (1, 10, 100, 1_000, 10_000, 100_000):
            state = lived(days)
            state.gap_max_us = gap_s * SECOND
            after_s = silent_after_s(state, rules_of(bundle, days=MINUTE, sources=3))
            assert after_s == math.inf or 3 * gap_s <= after_s <= 0.1 * 86_400 * (days + MINUTE)


def test_the_longer_a_source_was_watched_the_sooner_it_is_missed(bundle: Bundle) -> None:
    """Its own life counts as training does; a budget that allows more asks for less."""
    rules = rules_of(bundle, days=MINUTE, sources=10)
    times = [silent_after_s(lived(days), rules) for days in (0.0, 0.1, 1.0, 5.0, 50.0)]
    assert times == sorted(times, reverse=True)
    assert times[0] == math.inf
    assert times[-1] == pytest.approx(3.0)
    assert silent_after_s(lived(1.0), rules_of(bundle, MINUTE, 10, budget=2.0)) < times[2] < math.inf


def test_fit_says_when_silence_will_be_noticed_late() -> None:
    """Not before long, or after a long time; nothing where training was enough, or lines have no times."""

    def said(days: float, sources: int = 1, factor: float = 3.0) -> str:
        stream = msgspec.structs.replace(stream_calibration(), sources=sources, silence_factor=factor)
        return " ".join(of_silence(stream, days, 1.0))

    assert "within 1 min 1 source had gaps of 1 s. One that stops alerts only once" in said(MINUTE)
    assert "at first a source alerts after 44.7 s without a line" in said(1.0, sources=1_000)
    assert said(3.0) == ""
    assert said(0.0, factor=0.0) == ""
