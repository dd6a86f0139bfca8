"""Calibration: tails are monotone, shares are exact, contamination trims, budgets need no refit."""

import math
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.bundle import Calibration, SessionCalibration, Tail
from detector.stages.judge.budget import PER_SESSIONS, allowed_held_out, event_threshold, score_threshold
from detector.stages.score.ending import Closed, total
from training.calibrate.calibrate import (
    EndingParts,
    Measured,
    Values,
    calibrate_sessions,
    count_slots,
    fit_tail,
)

SEED = 3
PARTS = EndingParts(
    slots=[-1, -1, 0, 1],
    idf=[1.0] * 65,
    prototypes=[[0.0] * 65],
    unknown_cost=2.0,
    pairs=[5],
    pair_cost=9.0,
)
samples = st.lists(st.floats(-1e3, 1e3, allow_nan=False, width=32), min_size=1, max_size=200)


def random() -> np.random.Generator:
    """A generator whose seed is printed."""
    sys.stdout.write(f"seed {SEED}\n")
    return np.random.default_rng(SEED)


@settings(deadline=None)
@given(samples, st.floats(-2e3, 2e3), st.floats(-2e3, 2e3))
def test_a_stranger_value_is_never_likelier(values: list[float], one: float, other: float) -> None:
    """The z rises with the value, inside the sample and beyond it, and is never below 0."""
    tail = fit_tail(values)
    low, high = sorted((one, other))
    assert 0.0 <= tail.z(low) <= tail.z(high)


def test_z_counts_the_share_above() -> None:
    """Of a sample, about a tenth lies above z = 1 and a hundredth above z = 2."""
    values = random().exponential(1.0, 20_000)
    tail = fit_tail(values)
    z = np.array([tail.z(value) for value in values.tolist()])
    assert np.mean(z > 1) == pytest.approx(0.1, rel=0.05)
    assert np.mean(z > 2) == pytest.approx(0.01, rel=0.1)


@given(st.floats(2.0, 12.0))
def test_value_undoes_z_in_the_tail(z: float) -> None:
    """A budget's probability becomes a value, and the value gives the probability back."""
    tail = Tail(start=4.0, scale=0.7, share=0.02, quantiles=[0.0, 4.0])
    assert tail.z(tail.value(z)) == pytest.approx(z)


def test_an_exponential_tail_is_found() -> None:
    """The scale of the fitted tail is that of the data."""
    assert fit_tail(random().exponential(3.0, 20_000)).scale == pytest.approx(3.0, rel=0.15)


@pytest.mark.parametrize("values", [[], [1.0], [2.0] * 100])
def test_data_without_spread_gives_a_tail_all_the_same(values: list[float]) -> None:
    """Nothing, one value, or equal values: what equals them is no wonder, and z stays finite."""
    tail = fit_tail(values, least=0.1)
    assert tail.scale >= 0.1
    assert math.isfinite(tail.z(1e6))
    assert tail.z(values[0] if values else 0.0) <= 2.0


def measured(order: Values) -> Measured:
    """Sessions that differ in their order alone."""
    usual = Closed(order=0.0, density=1.0, density_max=1.0, distance=0.0, pairs=0.0)
    closed = [msgspec.structs.replace(usual, order=value) for value in order.tolist()]
    return Measured(closed, largest=order, end=order, events=order)


def calibrated(order: Values, contamination: float = 0.0) -> SessionCalibration:
    """The session calibration of these orders."""
    return calibrate_sessions(measured(order), PARTS, contamination)


def whole(session: SessionCalibration, budget: float = 5.0) -> Calibration:
    """A calibration for sessions."""
    tail = fit_tail([0.0, 1.0])
    return Calibration(
        budget=budget,
        days=1.0,
        hold_bits=9.0,
        worst_bits=7.0,
        surprise=tail,
        new_templates=0,
        new_template_alerts=True,
        session=session,
    )


def test_the_budget_is_the_share_of_held_out_sessions_above_its_threshold() -> None:
    """Never more than the budget allows; fewer by up to the nine that few data hide."""
    order = random().normal(size=20_000)
    session = calibrated(order)
    sums = np.array([total(closed, session) for closed in measured(order).closed])
    for budget in (5.0, 10.0, 50.0, 200.0):
        reached = int((sums >= score_threshold(whole(session), budget)).sum())
        allowed = budget / PER_SESSIONS * len(order)
        assert allowed / (1 + 9 / allowed) - 1 <= reached <= allowed


def test_few_allowed_alerts_are_lessened() -> None:
    """Data that allow one say little about the rate: a third of one is calibrated for."""
    session = calibrated(random().normal(size=500))
    one, many = PER_SESSIONS / session.sessions, 1000 * PER_SESSIONS / session.sessions
    assert allowed_held_out(session, one) == pytest.approx(1 / 3)
    assert allowed_held_out(session, many) == pytest.approx(991.1, abs=0.1)


def test_few_data_never_take_more_than_two_thirds_of_a_budget() -> None:
    """Of 500 sessions, 5 in 10,000 is a quarter of one: a twelfth is calibrated for, not a fiftieth."""
    session = calibrated(random().normal(size=500))
    for budget in (0.1, 2.0, 5.0):
        allowed = budget / PER_SESSIONS * session.sessions
        assert allowed_held_out(session, budget) == pytest.approx(allowed / 3)


def test_a_larger_budget_lowers_the_threshold_without_a_refit() -> None:
    """One calibration serves every budget, for endings and for single events."""
    calibration = whole(calibrated(random().normal(size=3000)))
    thresholds = [score_threshold(calibration, budget) for budget in (0.1, 1.0, 5.0, 20.0, 100.0)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == len(thresholds)
    assert event_threshold(1.0) > event_threshold(10.0) > 0


def test_a_budget_finer_than_the_data_is_extrapolated_above_them() -> None:
    """Of 500 sessions none is one in 100,000: the threshold lies above the highest."""
    session = calibrated(random().normal(size=500))
    assert score_threshold(whole(session), 0.1) > session.totals[0]


def test_declared_contamination_is_trimmed() -> None:
    """One session in a hundred is strange: declared, the threshold is that of the clean data; else not."""
    clean = random().normal(size=3000)
    dirty = np.concatenate([clean, np.full(30, 400.0)])
    limits = [
        score_threshold(whole(session), 20.0)
        for session in (calibrated(clean), calibrated(dirty, 30 / 3030), calibrated(dirty))
    ]
    strange = Closed(order=400.0, density=1.0, density_max=1.0, distance=0.0, pairs=0.0)
    assert total(strange, calibrated(dirty, 30 / 3030)) > limits[1]
    assert limits[0] == pytest.approx(limits[1], rel=0.05)
    assert total(strange, calibrated(dirty)) < total(strange, calibrated(dirty, 30 / 3030)) / 10


def test_slots_count_known_events_up_to_what_they_hold() -> None:
    """Unknown events and ends are in no slot; a count stops at 65,535."""
    tokens = np.array([0, 1, 2, 3, 3])
    assert count_slots(tokens, PARTS.slots)[:2].tolist() == [1, 2]
    assert count_slots(np.full(70_000, 2), PARTS.slots)[0] == 65_535
