"""The exported graphs: equal to torch, equal however rows and time are cut, one graph for every shape."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.bundle.runtime import onnxruntime
from training.export.export import EXPECTED, export_step
from training.export.graph import open_graph
from training.export.parity import check_parity
from training.model.model import ModelShape, SequenceModel, build
from training.model.settings import CELLS, Cell

SEED = 11
VOCABULARY = 30
SCORES = ["surprise", "entropy", "hidden_out"]
every_cell = pytest.mark.parametrize("cell", CELLS)
one_and_two_layers = pytest.mark.parametrize("layers", [1, 2])


def sharp(cell: Cell, layers: int = 1, vocabulary: int = VOCABULARY) -> SequenceModel:
    """A model whose predictions are as confident as a trained one's."""
    sys.stdout.write(f"seed {SEED}\n")
    model = build(ModelShape(vocabulary, cell, hidden=16, layers=layers, embedding=8), SEED)
    with torch.no_grad():
        model.output.weight.mul_(20)
    return model


def feed(model: SequenceModel, steps: int, rows: int, lengths: list[int] | None = None) -> dict[str, Any]:
    """Random tokens and states for a graph."""
    rng = np.random.default_rng(SEED)
    return {
        "tokens": rng.integers(0, model.shape.vocabulary, (steps, rows)),
        "lengths": np.array(lengths or [steps] * rows, np.int32),
        "hidden": rng.standard_normal((rows, model.shape.state_size)).astype(np.float32) / 2,
    }


def cut(inputs: dict[str, Any], row: int, length: int) -> dict[str, Any]:
    """One row of a feed without its padding."""
    one = slice(row, row + 1)
    return {
        "tokens": inputs["tokens"][:length, one],
        "lengths": np.array([length], np.int32),
        "hidden": inputs["hidden"][one],
    }


@every_cell
@one_and_two_layers
def test_torch_equals_onnx_over_ten_thousand_steps(cell: Cell, layers: int) -> None:
    """Single ONNX steps with a carried state stay within 1e-4 bits of one torch run."""
    model = sharp(cell, layers)
    assert check_parity(model, export_step(model), steps=10_000, seed=SEED) < 1e-4


@every_cell
def test_parity_sees_another_models_graph(cell: Cell) -> None:
    """The parity check fails for a graph that holds other weights."""
    model = sharp(cell)
    other = export_step(build(model.shape, SEED + 1))
    assert check_parity(model, other, steps=20, seed=SEED) > 0.1


@every_cell
def test_steps_equal_runs_bit_for_bit(cell: Cell) -> None:
    """Three hundred single steps give the bits and the state of one run."""
    model = sharp(cell)
    session, inputs = open_graph(export_step(model)), feed(model, 300, 1)
    surprise, _, end = session.run(SCORES, inputs)
    step = dict(inputs, lengths=np.ones(1, np.int32))
    for position in range(300):
        step["tokens"] = inputs["tokens"][position : position + 1]
        bits, _, step["hidden"] = session.run(SCORES, step)
        assert bits[0, 0] == surprise[position, 0]
    assert np.array_equal(step["hidden"], end)


@every_cell
@one_and_two_layers
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_rows_of_a_padded_batch_equal_rows_alone(cell: Cell, layers: int, lengths: list[int]) -> None:
    """However rows are batched and padded, each one's scores and state keep their bits."""
    model = sharp(cell, layers)
    session = open_graph(export_step(model))
    inputs = feed(model, max(lengths), len(lengths), lengths)
    surprise, entropy, hidden = session.run(SCORES, inputs)
    for row, length in enumerate(lengths):
        alone, spread, end = session.run(SCORES, cut(inputs, row, length))
        assert np.array_equal(alone[:, 0], surprise[:length, row])
        assert np.array_equal(spread[:, 0], entropy[:length, row])
        assert np.array_equal(end[0], hidden[row])


@every_cell
@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (1, 1000), (1000, 1)])
def test_one_graph_serves_every_shape(cell: Cell, steps: int, rows: int) -> None:
    """Time and rows are free axes, and the graph agrees with torch on each."""
    model = sharp(cell)
    inputs = feed(model, steps, rows)
    found = open_graph(export_step(model)).run(SCORES, inputs)
    with torch.inference_mode():
        wanted = model(torch.from_numpy(inputs["tokens"]), None, torch.from_numpy(inputs["hidden"]))
    for name, got, want in zip(SCORES, found, wanted, strict=True):
        assert got.shape == tuple(want.shape), name
        np.testing.assert_allclose(got, want.numpy(), atol=1e-4)


@every_cell
def test_expected_tokens_are_the_likeliest_before_the_event(cell: Cell) -> None:
    """The five expected tokens fall in probability, which is the one that their surprise comes from."""
    model = sharp(cell)
    session, inputs = open_graph(export_step(model)), feed(model, 1, 1)
    tokens, probability = session.run(["expected_tokens", "expected_probability"], inputs)
    assert tokens.shape == probability.shape == (1, 1, EXPECTED)
    assert np.all(np.diff(probability[0, 0]) <= 0)
    for token, chance in zip(tokens[0, 0], probability[0, 0], strict=True):
        [surprise] = session.run(["surprise"], dict(inputs, tokens=np.array([[token]])))
        assert np.isclose(2.0 ** -surprise[0, 0], chance, rtol=1e-4)


def test_expected_tokens_fit_a_tiny_vocabulary() -> None:
    """Three tokens leave three expectations."""
    model = sharp("gru", vocabulary=3)
    [tokens] = open_graph(export_step(model)).run(["expected_tokens"], feed(model, 2, 2))
    assert tokens.shape == (2, 2, 3)


def test_scores_are_the_same_whether_expectations_are_fetched_or_not() -> None:
    """Leaving the expectations out of a run changes no bit of the scores."""
    model = sharp("gru")
    session, inputs = open_graph(export_step(model)), feed(model, 20, 5)
    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True
    lean = session.run(SCORES, inputs, options)
    full = session.run(None, inputs)
    assert all(np.array_equal(a, b) for a, b in zip(lean, full[:3], strict=True))


def test_the_same_model_exports_the_same_bytes() -> None:
    """A bundle's digest depends on the weights alone."""
    assert export_step(sharp("lstm")) == export_step(sharp("lstm"))
