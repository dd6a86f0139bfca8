"""Write the step graph: the sequence model in ONNX's own operators. No I/O.

Built from the weights rather than by torch's exporters, which fix T and B for some cells. The
runtime's CPU provider then gives the same bits however rows and time are cut, so steps equal runs.
Two things about it were found by cutting at random, and are arranged for here: sums over an axis
keep their bits only when it fills whole vector registers, and the RNN operator never does.
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from training.export.graph import LANES, NEVER, Graph, to_numpy
from training.model.model import BITS_PER_NAT, SequenceModel
from training.model.settings import Cell

EXPECTED = 5  # tokens of `expected_*`, fewer where the vocabulary is smaller

SATURATED = 100.0  # a sigmoid of this is one, of its negative zero

# torch's gate that stands at each place in ONNX: GRU r,z,n -> z,r,h; LSTM i,f,g,o -> i,o,f,c.
_GATES: dict[Cell, tuple[int, ...]] = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "rnn": (0,)}


def export_step(model: SequenceModel) -> bytes:
    """Write a model as a graph that scores any number of rows over any number of events.

    Inputs: tokens int64 [T, B], lengths int32 [B] of 1..T, hidden float32 [B, S]. Outputs: surprise
    and entropy float32 [T, B] in bits, hidden_out float32 [B, S], and, of the same prediction,
    expected_tokens int64 and expected_probability float32 [T, B, K], the likeliest first. Values past
    a row's length mean nothing. Fetch without `expected_*` with the run option
    `only_execute_path_to_fetches` to leave their cost out.
    """
    graph = Graph()
    _write_constants(graph)
    before = _write_recurrence(graph, model)
    _write_scores(graph, model, before)
    _write_expected(graph, min(EXPECTED, model.shape.vocabulary))
    return graph.to_bytes("tailrace_step", *_interface(model))


def _interface(model: SequenceModel) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    describe = helper.make_tensor_value_info
    state, top = model.shape.state_size, min(EXPECTED, model.shape.vocabulary)
    inputs = [
        describe("tokens", TensorProto.INT64, ["T", "B"]),
        describe("lengths", TensorProto.INT32, ["B"]),
        describe("hidden", TensorProto.FLOAT, ["B", state]),
    ]
    outputs = [
        describe("surprise", TensorProto.FLOAT, ["T", "B"]),
        describe("entropy", TensorProto.FLOAT, ["T", "B"]),
        describe("hidden_out", TensorProto.FLOAT, ["B", state]),
        describe("expected_tokens", TensorProto.INT64, ["T", "B", top]),
        describe("expected_probability", TensorProto.FLOAT, ["T", "B", top]),
    ]
    return inputs, outputs


def _write_constants(graph: Graph) -> None:
    graph.integers("first", 0)
    graph.integers("second", 1)
    graph.integers("last", -1)
    graph.constant("bits", np.array(-BITS_PER_NAT, np.float32))


def _write_recurrence(graph: Graph, model: SequenceModel) -> str:
    """Stack the layers; name the top layer's h before every event [T, B, H]."""
    graph.constant("embedding", to_numpy(model.embedding.weight))
    below = graph.add("Gather", ["embedding", "tokens"], "embedded")
    kinds = "hc" if model.shape.cell == "lstm" else "h"
    names = [f"{kind}{layer}" for kind in kinds for layer in range(model.shape.layers)]
    graph.integers("widths", *[model.shape.hidden] * len(names))
    graph.add("Split", ["hidden", "widths"], *[f"{name}_flat" for name in names], axis=1)
    for layer in range(model.shape.layers):
        below = _write_layer(graph, model, layer, below)
    graph.add("Concat", [f"{name}_after" for name in names], "hidden_out", axis=1)
    graph.add("Slice", [below, "first", "last", "first"], "earlier")
    return graph.add("Concat", [f"h{model.shape.layers - 1}", "earlier"], "before", axis=0)


def _write_layer(graph: Graph, model: SequenceModel, layer: int, below: str) -> str:
    """Add one recurrent layer and name its h after every event [T, B, H]."""
    cell, kinds = model.shape.cell, ("h", "c") if model.shape.cell == "lstm" else ("h",)
    start = [graph.add("Unsqueeze", [f"{k}{layer}_flat", "first"], f"{k}{layer}") for k in kinds]
    ends = [f"{kind}{layer}_end" for kind in kinds]
    operator, extra = ("LSTM", {}) if cell == "lstm" else ("GRU", {"linear_before_reset": 1})
    inputs = [below, *_write_weights(graph, model, layer), "lengths", *start]
    graph.add(operator, inputs, f"y{layer}", *ends, hidden_size=model.shape.hidden, **extra)
    for kind, end in zip(kinds, ends, strict=True):
        graph.add("Squeeze", [end, "first"], f"{kind}{layer}_after")
    return graph.add("Squeeze", [f"y{layer}", "second"], f"tops{layer}")


def _write_weights(graph: Graph, model: SequenceModel, layer: int) -> list[str]:
    """Add W, R and B of one layer, gates in ONNX's order, under a leading axis of directions."""
    cell = model.shape.cell
    w, r, wb, rb = (
        _reorder(to_numpy(getattr(model.recurrent, f"{part}_l{layer}")), cell)
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    if cell == "rnn":
        # tanh(Wx + Rh + b) is a GRU that never keeps its old state (z = 0) and never resets it (r = 1).
        w, r, wb, rb = (
            _fix_gates(w, 0, 0),
            _fix_gates(r, 0, 0),
            _fix_gates(wb, -SATURATED, SATURATED),
            _fix_gates(rb, 0, 0),
        )
    values = {"w": w, "r": r, "b": np.concatenate((wb, rb))}
    return [graph.constant(f"{name}{layer}", value[np.newaxis]) for name, value in values.items()]


def _reorder(stacked: npt.NDArray[np.float32], cell: Cell) -> npt.NDArray[np.float32]:
    gates = np.split(stacked, len(_GATES[cell]))
    return np.concatenate([gates[place] for place in _GATES[cell]])


def _fix_gates(candidate: npt.NDArray[np.float32], update: float, reset: float) -> npt.NDArray[np.float32]:
    gates = (np.full_like(candidate, update), np.full_like(candidate, reset), candidate)
    return np.concatenate(gates)


def _write_scores(graph: Graph, model: SequenceModel, before: str) -> None:
    filler = -model.shape.vocabulary % LANES
    graph.constant("output_weight", np.pad(to_numpy(model.output.weight).T, ((0, 0), (0, filler))))
    graph.constant("output_bias", np.pad(to_numpy(model.output.bias), (0, filler), constant_values=NEVER))
    graph.add("MatMul", [before, "output_weight"], "projected")
    graph.add("Add", ["projected", "output_bias"], "logits")
    graph.add("LogSoftmax", ["logits"], "log_p", axis=-1)
    graph.add("Unsqueeze", ["tokens", "last"], "targets")
    graph.add("GatherElements", ["log_p", "targets"], "picked", axis=-1)
    graph.add("Squeeze", ["picked", "last"], "log_likelihood")
    graph.add("Mul", ["log_likelihood", "bits"], "surprise")
    graph.add("Exp", ["log_p"], "p")
    graph.add("Mul", ["p", "log_p"], "weighted")
    graph.add("ReduceSum", ["weighted", "last"], "negentropy", keepdims=0)
    graph.add("Mul", ["negentropy", "bits"], "entropy")


def _write_expected(graph: Graph, top: int) -> None:
    graph.integers("top", top)
    graph.add("TopK", ["log_p", "top"], "expected_log_p", "expected_tokens", axis=-1)
    graph.add("Exp", ["expected_log_p"], "expected_probability")
