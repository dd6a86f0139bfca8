"""The simple detectors, on sessions small enough to score by hand."""

from functools import partial
from math import isclose, log, log10

import numpy as np
import pytest

from training.evaluate.baselines import (
    BASELINES,
    Baseline,
    Tokens,
    combination,
    count_vector,
    fit,
    length,
    new_event,
    new_ngram,
    out_of_fold,
    threshold,
)


def _sessions(*rows: str) -> list[Tokens]:
    """Sessions of one digit an event."""
    return [np.array([int(token) for token in row], np.int64) for row in rows]


NORMAL = _sessions("1123", "123")


def test_new_events_are_counted() -> None:
    """Types 7 and 9 are unknown; an empty session holds nothing new."""
    assert new_event(NORMAL)(_sessions("1231", "1799", "")).tolist() == [0, 3, 0]


def test_length_counts_only_outside_the_range() -> None:
    """Normal sessions have 3 or 4 events; beyond it the ratio of n + 1 counts."""
    assert length(NORMAL)(_sessions("111", "1111", "111111111", "1")).tolist() == pytest.approx(
        [
            0,
            0,
            log(10 / 5),
            log(4 / 2),
        ]
    )


def test_new_2_grams_include_the_borders() -> None:
    """Known are ^1 11 12 23 3$; "132" has 13, 32 and 2$, "23" has ^2, and the borders of "" are new."""
    assert new_ngram(NORMAL, n=2)(_sessions("1123", "132", "23", "")).tolist() == [0, 3, 1, 1]


def test_new_3_grams() -> None:
    """Known are ^11 112 123 23$ ^12; "1223" has 122 and 223; an unknown type is like no known one."""
    assert new_ngram(NORMAL, n=3)(_sessions("123", "1223", "193")).tolist() == [0, 2, 3]


def test_runs_do_not_reach_into_the_next_session() -> None:
    """The same session scores the same whatever stands beside it."""
    score = new_ngram(NORMAL, n=3)
    assert score(_sessions("32", "123")).tolist() == [*score(_sessions("32")), *score(_sessions("123"))]


def test_plain_count_vector_distance() -> None:
    """(½, ½, 0) against (⅓, ⅓, ⅓) differs by ⅔ over a sum of larger shares of 4/3; order is ignored."""
    score = count_vector(_sessions("123"), weighted=False)
    assert score(_sessions("321", "12", "44")).tolist() == pytest.approx([0, 0.5, 1])


def test_weighted_count_vector_distance() -> None:
    """Type 1 is in 2 of 2 sessions, type 2 in 1 of 2; "122" is nearest to "12"."""
    score = count_vector(_sessions("1", "12"), weighted=True)
    common, rare = log10(3 / 2), log10(3 / 1)
    expected = (common / 6 + rare / 6) / (common / 2 + rare * 2 / 3)
    assert isclose(score(_sessions("122"))[0], expected)


def test_an_unknown_type_weighs_one() -> None:
    """Half of "19" is unknown: nearest is "1" at (½ common + ½) / (common + ½)."""
    score = count_vector(_sessions("1", "12"), weighted=True)
    common = log10(3 / 2)
    assert isclose(score(_sessions("19"))[0], (common / 2 + 0.5) / (common + 0.5))


def test_the_combination_puts_rules_above_distances() -> None:
    """A new event, an odd length, a mere shift of counts, and a normal session."""
    new, odd, shifted, normal = combination(NORMAL)(_sessions("1293", "1231231", "1223", "321"))
    assert min(new, odd) >= 2
    assert 1 >= shifted > normal == 0


def test_out_of_fold_scores_do_not_know_their_session() -> None:
    """Four sessions of a type of their own are each new to the other folds."""
    rows = _sessions("1", "2", "3", "4")
    assert out_of_fold(new_event, rows, np.random.default_rng(1)).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("share", "above"), [(0.0, 0), (0.1, 0), (0.2, 1), (0.25, 1), (0.4, 2), (1.0, 5)])
def test_at_most_the_share_reaches_the_threshold(share: float, above: int) -> None:
    """Of five normal scores."""
    scores = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    assert int((scores >= threshold(scores, share)).sum()) == above


def test_equal_scores_stay_on_one_side() -> None:
    """Where a tie would break the share, none of it is flagged."""
    scores = np.array([1.0, 1.0, 1.0, 0.0])
    assert int((scores >= threshold(scores, 0.5)).sum()) == 0


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
def test_every_baseline_finds_the_obvious(baseline: Baseline) -> None:
    """A session unlike all others reaches the threshold, a normal one does not."""
    normal = _sessions(*["1123", "123", "1223"] * 8)
    score, least = fit(baseline, normal, share=0.01, rng=np.random.default_rng(3))
    strange, usual = score(_sessions("99999999999", "123"))
    assert strange >= least > usual


def test_no_sessions_have_no_scores() -> None:
    """A part of the data may be empty."""
    for detector in (new_event, length, partial(new_ngram, n=2), partial(count_vector, weighted=True)):
        assert detector(NORMAL)([]).tolist() == []
