"""Judging a session by what it held: slots, the density of counts, its graph, and known sessions."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector.records import END, FIRST_TEMPLATE, UNKNOWN
from training.export.ending import export_ending
from training.export.graph import open_graph
from training.export.parity import check_ending_parity
from training.model.counts import (
    NO_SLOT,
    PROTOTYPES,
    SLOTS,
    Counts,
    choose_slots,
    count_events,
    count_unknown,
    distances,
    prototypes,
    strangeness,
)
from training.model.ending import EDGES, Ending, fit_ending, miscounted, used_slots

SEED = 3


def block_counts(rows: int = 400) -> Counts:
    """Counts of a made-up block: three of the first, as many of the second, one or none of the third."""
    sys.stdout.write(f"seed {SEED}\n")
    rng, counts = np.random.default_rng(SEED), np.zeros((rows, SLOTS), np.int64)
    counts[:, 0] = 3
    counts[:, 1] = 3
    counts[:, 2] = rng.integers(0, 2, rows)
    counts[:, 3] = 4 * counts[:, 2]
    return counts


@pytest.fixture(scope="module")
def ending() -> Ending:
    """A network that has learnt the block."""
    return fit_ending(block_counts(), SEED, steps=400)


def counted(*first: int) -> Counts:
    """One session with these counts in the first slots."""
    return np.array([[*first, *[0] * (SLOTS - len(first))]])


def none_unknown(rows: int) -> Counts:
    """No unknown event in any of the sessions."""
    return np.zeros(rows, np.int64)


def test_slots_follow_document_frequency() -> None:
    """The template of most sessions comes first, however often another one repeats in few."""
    sessions = [np.array([3, 3, 3, 3, 4]), np.array([4, 2]), np.array([2, 4, 1])]
    assert choose_slots(sessions, 6) == [NO_SLOT, NO_SLOT, 1, 2, 0, 3]


def test_unknown_events_and_ends_are_not_counted() -> None:
    """Counts hold templates only."""
    slots = choose_slots([np.array([2, 3])], 4)
    sessions = [np.array([UNKNOWN, 2, 2, 3, END])]
    [counts] = count_events(sessions, slots)
    assert sorted(counts.tolist())[-3:] == [0, 1, 2]
    assert count_unknown(sessions).tolist() == [1]


@given(templates=st.integers(1, 300))
def test_any_number_of_templates_fits_the_slots(templates: int) -> None:
    """Every template has a slot; up to 64 have their own, beyond that the commonest keep theirs."""
    sessions = [np.arange(FIRST_TEMPLATE, FIRST_TEMPLATE + part) for part in range(1, templates + 1)]
    slots = choose_slots(sessions, templates + FIRST_TEMPLATE)[FIRST_TEMPLATE:]
    assert min(slots) == 0
    assert max(slots) == min(templates, SLOTS) - 1
    assert slots[:48] == list(range(min(templates, 48)))
    assert len(set(slots)) == min(templates, SLOTS)


def test_what_training_held_is_likely_and_what_it_never_held_is_not(ending: Ending) -> None:
    """A count that breaks with the others costs far more than any seen, and the sum counts each break."""
    fine, _ = ending.score(block_counts())
    broken, most = ending.score(
        np.concatenate((counted(3, 1, 1, 4), counted(3, 3, 1, 0), counted(1, 0, 0, 9)))
    )
    assert fine.max() < 3
    assert broken.min() > 2 * fine.max()
    assert np.all(most <= broken)
    assert broken[2] > most[2]


def test_a_neighbour_costs_less_than_a_stranger(ending: Ending) -> None:
    """The smooth head finds a count one off less strange than one far off."""
    costs, _ = ending.score(np.concatenate((counted(3, 4, 1, 4), counted(3, 100, 1, 4))))
    assert costs[0] < costs[1]


def test_each_slot_sees_only_the_slots_before_it() -> None:
    """Changing a count leaves the probabilities of all slots before it as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = Ending(6)
    counts = torch.randint(0, 9, (1, SLOTS), generator=torch.Generator().manual_seed(SEED))
    with torch.no_grad():
        before = torch.stack(model(counts))
        for slot in range(6):
            changed = counts.clone()
            changed[0, slot] += 30
            after = torch.stack(model(changed))
            assert torch.equal(before[..., :slot], after[..., :slot])
            assert not torch.equal(before[..., slot:], after[..., slot:])


def test_each_heads_probabilities_sum_to_one() -> None:
    """Over the buckets of one slot, the softmax sums to one and so do the logistics, but for their floor."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = Ending(3)
    counts = np.zeros((len(EDGES), SLOTS), np.int64)
    counts[:, 2] = EDGES
    with torch.no_grad():
        sharp, smooth = model(torch.from_numpy(counts))
    assert float(sharp[:, 2].exp().sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(smooth[:, 2].exp().sum()) == pytest.approx(1.0, abs=1e-3)


def test_slots_that_training_never_filled_cost_nothing(ending: Ending) -> None:
    """Only the four slots in use have a price."""
    assert ending.used == used_slots(block_counts()) == 4
    plain, odd = counted(3, 3, 1, 4), counted(3, 3, 1, 4, 7)
    assert ending.score(plain)[0] == ending.score(odd)[0]


def test_the_same_seed_gives_the_same_bits() -> None:
    """Two fits of one seed agree in every weight."""
    one, other = (fit_ending(block_counts(50), SEED, steps=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_miscounting_touches_one_present_event_in_a_tenth_of_the_rows() -> None:
    """No row changes by more than one, and nothing absent appears."""
    counts = block_counts(4000)
    change = miscounted(counts, np.random.default_rng(SEED)) - counts
    assert set(np.abs(change).sum(1).tolist()) == {0, 1}
    assert np.all(counts[change != 0] > 0)
    assert 0.08 < np.mean(change.any(1)) < 0.12


def test_torch_equals_onnx(ending: Ending) -> None:
    """The graph scores random counts as torch does, but for the difference of two nearly equal sigmoids."""
    assert check_ending_parity(ending, export_ending(ending), rows=300, seed=SEED) < 1e-2


@pytest.mark.parametrize("used", [1, 15, 16, 17, 64])
def test_sessions_score_the_same_bits_in_any_batch(used: int) -> None:
    """However closed sessions are batched, each one's C and Cm keep their bits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        session = open_graph(export_ending(Ending(used)))
    counts = (np.random.default_rng(SEED).geometric(0.2, (101, SLOTS)) - 1).astype(np.float32)
    whole = session.run(["c", "c_max"], {"counts": counts})
    for size in (1, 7, 50):
        parts = [
            session.run(["c", "c_max"], {"counts": counts[at : at + size]}) for at in range(0, 101, size)
        ]
        for together, apart in zip(whole, zip(*parts, strict=True), strict=True):
            assert np.array_equal(together, np.concatenate(apart))


def test_a_session_that_training_held_is_at_distance_zero() -> None:
    """Known vectors are near, foreign ones far, and nothing is farther than one."""
    known = prototypes(block_counts())
    assert len(known.vectors) == 2
    assert np.all(strangeness(block_counts(), none_unknown(400), known) < 1e-6)
    far = strangeness(np.concatenate((counted(0, 0, 0, 0, 0, 5), counted(0))), none_unknown(2), known)
    assert far == pytest.approx([1.0, 1.0], abs=1e-3)


def test_unknown_events_take_a_session_away_from_the_known_ones() -> None:
    """The more of a session is unknown, the stranger it is; one of nothing else is as strange as can be."""
    known = prototypes(block_counts())
    counts = np.concatenate((counted(3, 3, 0, 0), counted(3, 3, 0, 0), counted(3, 3, 0, 0), counted(0)))
    none, one, many, only = strangeness(counts, np.array([0, 1, 5, 3]), known)
    assert none < 1e-6
    assert 0.2 < one < many < only == pytest.approx(1.0)


def test_prototypes_are_capped_and_cover_the_rest() -> None:
    """Of many distinct sessions 256 stay, and no other is far from the nearest of them."""
    counts = np.zeros((1500, SLOTS), np.int64)
    counts[:, :5] = np.random.default_rng(SEED).integers(0, 6, (1500, 5))
    known = prototypes(counts)
    assert known.vectors.shape == (PROTOTYPES, SLOTS + 1)
    assert float(strangeness(counts, none_unknown(1500), known).max()) < 0.25


def test_distances_do_not_depend_on_the_batch() -> None:
    """A session's distance keeps its bits whatever is compared beside it."""
    vectors = np.random.default_rng(SEED).random((130, SLOTS)).astype(np.float32)
    whole = distances(vectors, vectors[:40] * 2)
    alone = np.concatenate([distances(vectors[at : at + 1], vectors[:40] * 2) for at in range(130)])
    assert np.array_equal(whole, alone)
