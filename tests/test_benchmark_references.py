"""The networks that Tailrace is held against look back only, and learn."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from training.benchmark.detectors.reference.costs import LENGTHS, costs
from training.benchmark.detectors.reference.judging import (
    DEEPLOG,
    REFERENCES,
    Reference,
    of_sessions,
    of_stream,
)
from training.benchmark.detectors.reference.networks import (
    WINDOW,
    Attention,
    Convolution,
    Recurrent,
    Windowed,
)
from training.evaluate.baselines import Tokens

VOCABULARY = 8
QUICK = {"seed": 0, "epochs": 4}
ALL = [DEEPLOG, *REFERENCES]


@pytest.mark.parametrize("make", [Attention, Convolution, Recurrent, Windowed])
def test_no_event_is_predicted_from_itself_or_later_ones(make: Callable[[int], nn.Module]) -> None:
    """Another event at place 20 changes the predictions behind it and none before."""
    torch.manual_seed(0)
    network = make(VOCABULARY).eval()
    tokens = torch.randint(2, VOCABULARY, (2, 40))
    other = tokens.clone()
    other[:, 20] = (other[:, 20] - 1) % (VOCABULARY - 2) + 2
    with torch.no_grad():
        before, after = network(tokens), network(other)
    assert before.shape == (2, 40, VOCABULARY)
    assert torch.allclose(before[:, :21], after[:, :21], atol=1e-6)
    assert not torch.allclose(before[:, 21], after[:, 21], atol=1e-6)


def test_the_window_forgets_what_is_before_it() -> None:
    """As many events back as it has, and no more."""
    torch.manual_seed(0)
    network = Windowed(VOCABULARY).eval()
    tokens = torch.randint(2, VOCABULARY, (1, 40))
    other = tokens.clone()
    other[:, 5] = (other[:, 5] - 1) % (VOCABULARY - 2) + 2
    with torch.no_grad():
        apart = (network(tokens) - network(other)).abs().amax(dim=-1)[0] > 1e-6
    assert apart.nonzero()[:, 0].tolist() == list(range(6, 6 + WINDOW))


@pytest.mark.parametrize("reference", ALL, ids=lambda one: one.name)
def test_a_session_out_of_order_is_stranger_than_one_in_order(reference: Reference) -> None:
    """After a few epochs over the same loop; the threshold lies between them."""
    rng = np.random.default_rng(0)
    train: list[Tokens] = [np.array([2, *([3, 4, 5] * int(rng.integers(2, 5))), 6]) for _ in range(200)]
    test: list[Tokens] = [train[0], np.array([2, 3, 4, 5, 5, 3, 0, 6])]
    [found] = of_sessions([reference], train, test, VOCABULARY, **QUICK, device="cpu")
    assert found.scores[1] >= found.threshold(50.0) > found.scores[0]


def test_a_stream_is_flagged_where_it_breaks() -> None:
    """As seldom as the budget says on what was held out, and at the new event."""
    train = np.tile(np.array([2, 3, 4, 5]), 600)
    test = train[:400].copy()
    test[200] = 90
    flags, _ = of_stream(DEEPLOG, train, test, seed=0, epochs=60, device="cpu")
    assert 200 in flags.flagged(1.0).tolist()
    assert len(flags.flagged(1.0)) < 30


def test_what_attention_keeps_grows_and_what_a_recurrent_cell_keeps_does_not() -> None:
    """A row for each network and length."""
    found = costs()
    kept = {
        name: [one.state_bytes for one in found if one.network == name] for name in {c.network for c in found}
    }
    assert all(len(one) == len(LENGTHS) for one in kept.values())
    assert len(set(kept["gru"])) == 1
    assert kept["transformer"] == sorted(set(kept["transformer"]))
    assert all(one.us_per_event > 0 for one in found)
