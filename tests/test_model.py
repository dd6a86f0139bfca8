"""The sequence model: what it scores against, how its state is carried, and what padding may not do."""

import math
import sys

import pytest
import torch
from torch import Tensor

from training.model.model import ModelShape, SequenceModel, build
from training.model.settings import CELLS, Cell

SEED = 7
every_cell = pytest.mark.parametrize("cell", CELLS)
one_and_two_layers = pytest.mark.parametrize("layers", [1, 2])


def small(cell: Cell, layers: int = 1) -> SequenceModel:
    """A model of nine tokens whose weights come from the seed."""
    sys.stdout.write(f"seed {SEED}\n")
    return build(ModelShape(9, cell, hidden=6, layers=layers, embedding=4), SEED)


def some_tokens(steps: int, rows: int) -> Tensor:
    """Random tokens [T, B]."""
    return torch.randint(9, (steps, rows), generator=torch.Generator().manual_seed(SEED))


@every_cell
@one_and_two_layers
def test_state_is_one_flat_row_a_source(cell: Cell, layers: int) -> None:
    """Hidden is [B, layers x hidden], twice that for an LSTM, which keeps h and c."""
    model = small(cell, layers)
    _, _, hidden = model(some_tokens(5, 3), None, model.zero_state(3))
    assert hidden.shape == (3, layers * 6 * (2 if cell == "lstm" else 1))
    assert model.shape.state_size == hidden.shape[1]


@every_cell
@one_and_two_layers
def test_a_run_in_two_parts_scores_as_one(cell: Cell, layers: int) -> None:
    """Carrying the state over a cut changes neither the scores nor the final state."""
    model, tokens = small(cell, layers), some_tokens(12, 3)
    whole, spread, end = model(tokens, None, model.zero_state(3))
    first, first_spread, middle = model(tokens[:5], None, model.zero_state(3))
    second, second_spread, after = model(tokens[5:], None, middle)
    torch.testing.assert_close(torch.cat((first, second)), whole)
    torch.testing.assert_close(torch.cat((first_spread, second_spread)), spread)
    torch.testing.assert_close(after, end)


@every_cell
@one_and_two_layers
def test_padding_touches_neither_scores_nor_state(cell: Cell, layers: int) -> None:
    """A short row in a padded batch scores and ends as it does alone."""
    model, tokens, lengths = small(cell, layers), some_tokens(8, 3), [3, 8, 1]
    surprise, entropy, hidden = model(tokens, torch.tensor(lengths), model.zero_state(3))
    for row, length in enumerate(lengths):
        alone, spread, end = model(tokens[:length, row : row + 1], None, model.zero_state(1))
        torch.testing.assert_close(surprise[:length, row], alone[:, 0])
        torch.testing.assert_close(entropy[:length, row], spread[:, 0])
        torch.testing.assert_close(hidden[row], end[0])


@every_cell
def test_an_event_is_scored_before_it_is_seen(cell: Cell) -> None:
    """Changing an event changes its own score and later ones, never an earlier score or its own entropy."""
    model, tokens = small(cell), some_tokens(6, 1)
    changed = tokens.clone()
    changed[3] = (changed[3] + 1) % 9
    surprise, entropy, _ = model(tokens, None, model.zero_state(1))
    other, spread, _ = model(changed, None, model.zero_state(1))
    assert torch.equal(surprise[:3], other[:3])
    assert torch.equal(entropy[:4], spread[:4])
    assert not torch.equal(surprise[3], other[3])
    assert not torch.equal(entropy[4], spread[4])


@every_cell
def test_surprise_is_in_bits_of_a_distribution(cell: Cell) -> None:
    """The nine probabilities of a next event sum to one, and entropy is at most log2 of nine."""
    model = small(cell)
    every_token = torch.arange(9).unsqueeze(0)
    with torch.no_grad():
        surprise, entropy, _ = model(every_token, None, model.zero_state(9))
    assert math.isclose(float((2.0**-surprise).sum()), 1.0, rel_tol=1e-5)
    assert 0.0 < float(entropy[0, 0]) <= math.log2(9)


def test_the_same_seed_draws_the_same_weights() -> None:
    """Building twice gives equal weights and leaves torch's own generator untouched."""
    before = torch.get_rng_state()
    one, two = small("gru"), small("gru")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert torch.equal(before, torch.get_rng_state())
