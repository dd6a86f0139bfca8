"""Write the second reader's graph in ONNX's own operators. No I/O."""

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper
from torch import nn

from training.export.graph import Graph, to_numpy
from training.model.reader import HIDDEN, ReaderNetwork

_GATES = (1, 0, 2)  # torch's r,z,n at ONNX's z,r,h


def export_reader(model: ReaderNetwork) -> bytes:
    """Write the network as a graph for one session.

    Input: tokens int64 [T], with the end. Outputs: verdict float32 [1] and attention float32 [T].
    """
    graph = Graph()
    graph.integers("flat", -1)
    graph.integers("second", 1)
    graph.integers("wide", -1, 2 * HIDDEN)
    _write_reading(graph, model)
    _write_layer(graph, "read", "look", model.look)
    graph.add("Tanh", ["look_sum"], "looked")
    graph.constant("weigh_weight", to_numpy(model.weigh.weight).T)
    graph.add("MatMul", ["looked", "weigh_weight"], "weights")
    graph.add("Reshape", ["weights", "flat"], "row")
    graph.add("Softmax", ["row"], "attention", axis=0)
    graph.add("MatMul", ["attention", "read"], "context")
    _write_layer(graph, "context", "digest", model.digest)
    graph.add("Relu", ["digest_sum"], "digested")
    _write_layer(graph, "digested", "verdict", model.verdict)
    graph.add("Identity", ["verdict_sum"], "verdict")
    describe = helper.make_tensor_value_info
    return graph.to_bytes(
        "tailrace_reader",
        [describe("tokens", TensorProto.INT64, ["T"])],
        [describe("verdict", TensorProto.FLOAT, [1]), describe("attention", TensorProto.FLOAT, ["T"])],
    )


def _write_reading(graph: Graph, model: ReaderNetwork) -> None:
    """What was read at each event from both ends [T, 2H]."""
    graph.constant("embedding", to_numpy(model.embedding.weight))
    graph.add("Gather", ["embedding", "tokens"], "embedded")
    graph.add("Unsqueeze", ["embedded", "second"], "column")
    for name, value in _weights(model).items():
        graph.constant(name, value)
    graph.add(
        "GRU",
        ["column", "w", "r", "b"],
        "y",  # [T, 2, 1, H]
        hidden_size=HIDDEN,
        direction="bidirectional",
        linear_before_reset=1,
    )
    graph.add("Reshape", ["y", "wide"], "read")


def _weights(model: ReaderNetwork) -> dict[str, npt.NDArray[np.float32]]:
    """W, R and B, each with both directions first."""
    w, r, wb, rb = (
        np.stack([_reorder(to_numpy(getattr(model.both, f"{part}_l0{way}"))) for way in ("", "_reverse")])
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return {"w": w, "r": r, "b": np.concatenate((wb, rb), 1)}


def _reorder(stacked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    gates = np.split(stacked, len(_GATES))
    return np.concatenate([gates[place] for place in _GATES])


def _write_layer(graph: Graph, below: str, name: str, layer: nn.Linear) -> None:
    graph.constant(f"{name}_weight", to_numpy(layer.weight).T)
    graph.constant(f"{name}_bias", to_numpy(layer.bias))
    graph.add("MatMul", [below, f"{name}_weight"], f"{name}_product")
    graph.add("Add", [f"{name}_product", f"{name}_bias"], f"{name}_sum")
