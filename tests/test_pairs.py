"""Pairs of neighbouring events: what is known, what is new, what new ones do to a score; unknown events."""

import math
import sys
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.bundle import Ints, SessionCalibration, Tail
from detector.records import END, UNKNOWN
from detector.stages.score.ending import HALF_Z, Closed, so_far, summed, total, unknown_nats
from detector.stages.score.pairs import count_new
from tests.small_bundle import session_calibration
from training.calibrate.calibrate import MEDIAN, SURE, fit_tail
from training.model.pairs import MOST_PAIRS, known_pairs, new_pair_cost

SEED = 5
VOCABULARY = 8
USUAL = Closed(order=0.0, density=0.0, density_max=0.0, distance=0.0, pairs=0.0)


def tokens(*events: int) -> Ints:
    """One session."""
    return np.array(events, np.int64)


def new_pairs(known: Ints, *sessions: list[int]) -> list[int]:
    """New pairs of whole sessions, their ends included."""
    rows = [[*session, END] for session in sessions]
    return count_new(known, [END] * len(rows), rows, VOCABULARY)


def test_two_steps_in_the_wrong_order_make_three_new_pairs() -> None:
    """Before, between and after them; so do they where the session begins or ends with them."""
    known = known_pairs([tokens(2, 3, 4, 5, 6)], VOCABULARY)
    assert new_pairs(known, [2, 3, 4, 5, 6], [2, 4, 3, 5, 6], [3, 2, 4, 5, 6], [2, 3, 4, 6, 5]) == [
        0,
        3,
        3,
        3,
    ]
    assert new_pairs(known, [2, 3, 4], []) == [1, 1]


def test_an_unknown_event_makes_no_new_pair() -> None:
    """It costs by itself already, and so it is in training's own folds."""
    known = known_pairs([tokens(2, UNKNOWN, 3)], VOCABULARY)
    assert new_pairs(known, [2, UNKNOWN, 3], [UNKNOWN, 2]) == [0, 1]


@given(
    sessions=st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=12), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 12), max_size=4),
)
def test_new_pairs_add_up_over_any_cut(sessions: list[list[int]], cuts: list[int]) -> None:
    """Given the last token of what went before, a session's parts have as many as the whole."""
    known = np.arange(0, VOCABULARY**2, 3)
    whole = new_pairs(known, *sessions)
    for session, expected in zip(sessions, whole, strict=True):
        row = [*session, END]
        edges = [0, *sorted(min(cut, len(row)) for cut in cuts), len(row)]
        parts = [row[a:b] for a, b in pairwise(edges)]
        before = [row[a - 1] if a else END for a in edges[:-1]]
        assert sum(count_new(known, before, parts, VOCABULARY)) == expected


def test_of_very_many_pairs_the_commonest_are_kept() -> None:
    """The bundle is bounded whatever the logs hold."""
    sys.stdout.write(f"seed {SEED}\n")
    many = np.random.default_rng(SEED).integers(2, 2000, 200_000)
    common = np.tile(tokens(2, 3), 50)
    known = known_pairs([many, common], 2000)
    assert len(known) == MOST_PAIRS
    assert np.all(np.diff(known) > 0)
    assert count_new(known, [2], [[3, 2, 3]], 2000) == [0]


def test_a_new_pair_costs_less_where_new_pairs_are_common() -> None:
    """By how often one fold holds what the others lack: none of 56 pairs, or three that a swap makes."""
    plain = [tokens(2, 3, 4, 5, 6, 7)] * 8
    folds = [np.arange(k, 8, 4) for k in range(4)]
    swapped = [*plain[:-1], tokens(2, 3, 5, 4, 6, 7)]
    assert new_pair_cost(plain, folds, VOCABULARY) == pytest.approx(math.log(57 / 0.5))
    assert new_pair_cost(swapped, folds, VOCABULARY) == pytest.approx(math.log(57 / 3.5))


def calibration() -> SessionCalibration:
    """Calibration of a thousand sessions: five had a new pair, ten were odd throughout."""
    tail = Tail(start=1.0, scale=1.0, share=0.02, quantiles=[0.0, 1.0])
    pair = fit_tail([0.0] * 995 + [9.0] * 5, least=0.1, cover=MEDIAN)
    sums = fit_tail([*np.linspace(0, 8, 990).tolist(), *[14.0] * 10])
    made = msgspec.structs.replace(session_calibration(), pair=pair, summed=sums)
    return msgspec.structs.replace(made, order=tail, density=tail, density_max=tail, distance=tail)


def test_new_pairs_alone_raise_the_score_as_far_as_they_are_rare() -> None:
    """Everything else usual, what they are worth is the sum that twice as many normal sessions reach."""
    made = calibration()
    strange = msgspec.structs.replace(USUAL, pairs=27.0)
    assert summed(strange, made) < made.summed.value(2.0)
    for score in (total(strange, made), so_far(strange, made)):
        assert score == pytest.approx(made.summed.value(made.pair.z(27.0) - HALF_Z))
        assert score > 14.0
    one = msgspec.structs.replace(USUAL, pairs=9.0)
    assert total(one, made) < total(strange, made) - 1.0


def test_usual_sessions_score_their_sum() -> None:
    """No floor lies under the scores of sessions without new pairs, so that they stay in their order."""
    made = calibration()
    odd = msgspec.structs.replace(USUAL, order=3.0)
    assert total(USUAL, made) == summed(USUAL, made) < total(odd, made) == summed(odd, made)


def test_one_strange_count_counts_once() -> None:
    """It raises the sum over the slots as well as their maximum: the score takes the larger z."""
    made = calibration()
    both = msgspec.structs.replace(USUAL, density=9.0, density_max=7.0)
    one = msgspec.structs.replace(USUAL, density=9.0)
    assert total(both, made) == total(one, made) > total(USUAL, made)


@given(st.integers(1, 10_000), st.floats(0.1, 30.0))
def test_the_first_unknown_event_costs_the_most(events: int, cost: float) -> None:
    """They come together: each further one adds less, and a session without any pays nothing."""
    one, more, most = (unknown_nats(n, cost) for n in (1, events + 1, events + 2))
    assert unknown_nats(0, cost) == 0.0
    assert cost == one < more < most
    assert most - more < math.log(2)


def test_a_covering_tail_leaves_as_much_as_the_data_reach() -> None:
    """Of 1,000 sessions five have a new pair: its tail says one in 200, that of the mean far less."""
    values = [0.0] * 995 + [9.0] * 5
    plain, cover = fit_tail(values, least=0.1), fit_tail(values, least=0.1, cover=MEDIAN)
    assert cover.z(9.0) < 2.5
    assert plain.z(9.0) > 3.0
    normal = np.random.default_rng(SEED).exponential(1.0, 20_000)
    assert fit_tail(normal, cover=MEDIAN).scale == pytest.approx(1.0, rel=0.4)


def test_a_covering_tail_bends_less_to_few_values_that_it_doubts() -> None:
    """One value far beyond the others flattens the tail, by much less where it has to be sure of it."""
    values = np.append(np.random.default_rng(SEED).exponential(1.0, 5000), 200.0)
    assert fit_tail(values, cover=MEDIAN).scale > 1.3 * fit_tail(values, cover=SURE).scale
    fives = [0.0] * 900 + [9.0] * 100
    assert fit_tail(fives, share=0.2, cover=SURE).z(9.0) == pytest.approx(1.0, abs=0.2)
