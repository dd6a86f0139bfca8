"""Metrics against values worked out by hand."""

from math import inf, isclose, sqrt

import numpy as np
import pytest

from training.evaluate.metrics import Outcome, average_precision, outcome, wilson

EXAMPLE = Outcome(true_positives=6, false_positives=2, false_negatives=4, true_negatives=88)
NOTHING_FLAGGED = Outcome(true_positives=0, false_positives=0, false_negatives=4, true_negatives=6)


def test_shares_of_counts() -> None:
    """6 of 8 flagged are right, 6 of 10 anomalies are found, 2 of 90 normals are flagged."""
    assert (EXAMPLE.precision, EXAMPLE.recall) == (0.75, 0.6)
    assert isclose(EXAMPLE.false_positive_rate, 2 / 90)
    assert isclose(EXAMPLE.f1, 2 * 0.75 * 0.6 / (0.75 + 0.6))


def test_matthews_correlation() -> None:
    """(6·88 - 2·4) / sqrt(8·10·90·92)."""
    assert isclose(EXAMPLE.matthews, 520 / sqrt(8 * 10 * 90 * 92))
    assert isclose(Outcome(5, 0, 0, 5).matthews, 1.0)
    assert isclose(Outcome(0, 5, 5, 0).matthews, -1.0)


def test_silence_earns_nothing() -> None:
    """What cannot be told counts as 0."""
    assert (NOTHING_FLAGGED.precision, NOTHING_FLAGGED.f1, NOTHING_FLAGGED.matthews) == (0, 0, 0)
    assert average_precision(np.array([1.0]), np.array([])) == 0


def test_rates_carry_over_to_a_prevalence() -> None:
    """Recall 0.6 and 2/90 false positives where 1 % is anomalous: precision 0.006 / (0.006 + 0.022)."""
    rare = EXAMPLE.at(0.01)
    assert isclose(rare.recall, 0.6)
    assert isclose(rare.precision, 0.006 / (0.006 + 0.99 * 2 / 90))
    assert isclose(rare.f1, 2 * 0.006 / (0.006 + 0.022 + 0.01))


def test_the_own_prevalence_changes_nothing() -> None:
    """10 of 100 are anomalous in the example."""
    own = EXAMPLE.at(0.1)
    assert isclose(own.f1, EXAMPLE.f1)
    assert isclose(own.matthews, EXAMPLE.matthews)


def test_a_threshold_flags_what_reaches_it() -> None:
    """A score equal to the threshold is flagged."""
    counted = outcome(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]), 2.0)
    assert counted == Outcome(2, 1, 1, 2)


def test_average_precision_by_hand() -> None:
    """Order anomaly, normal, anomaly: recall ½ at precision 1, then ½ more at precision ⅔."""
    assert isclose(average_precision(np.array([2.0]), np.array([3.0, 1.0])), (1 + 2 / 3) / 2)


def test_equal_scores_count_as_one_threshold() -> None:
    """A detector that gives everything one score has the prevalence as its average precision."""
    assert isclose(average_precision(np.zeros(3), np.zeros(1)), 0.25)
    assert isclose(average_precision(np.array([0.0, inf]), np.array([inf])), 0.5)


def test_average_precision_at_a_prevalence() -> None:
    """Weighting one normal against one anomaly to 10 %: the anomaly below it has precision 0.1."""
    assert isclose(average_precision(np.array([2.0]), np.array([1.0]), prevalence=0.1), 0.1)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.27753), (5, 10, 0.23659, 0.76341), (10, 10, 0.72247, 1.0)],
)
def test_wilson_interval(hits: int, trials: int, low: float, high: float) -> None:
    """At 0 of n the upper end is z²/(n + z²)."""
    assert wilson(hits, trials) == pytest.approx((low, high), abs=1e-5)
