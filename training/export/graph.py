"""Write and open ONNX graphs. No I/O."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper

from detector.bundle.runtime import onnxruntime

OPSET = 17
IR_VERSION = 9

LANES = 16  # float32 numbers of the widest vector register; axes that are summed are filled up to it
NEVER = -1e9  # logit of a filler: its probability is exactly zero

_Array = npt.NDArray[np.float32] | npt.NDArray[np.int64]


class Graph:
    """An ONNX graph while it is being written: its nodes and its constants."""

    def __init__(self) -> None:
        """Start empty."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Append a node and name its first output."""
        self.nodes.append(helper.make_node(operator, inputs, list(outputs), **attributes))
        return outputs[0]

    def constant(self, name: str, value: _Array) -> str:
        """Add an initializer and name it."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, name: str, *values: int) -> str:
        """Add a one-dimensional int64 constant."""
        return self.constant(name, np.array(values, np.int64))

    def floats(self, name: str, value: npt.ArrayLike) -> str:
        """Add a float32 constant."""
        return self.constant(name, np.array(value, np.float32))

    def to_bytes(
        self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> bytes:
        """Check the graph and serialise it."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="tailrace"
        )
        onnx.checker.check_model(model, full_check=True)
        serialised: bytes = model.SerializeToString()
        return serialised


def to_numpy(weights: torch.Tensor) -> npt.NDArray[np.float32]:
    """Weights as an array on the CPU."""
    array: npt.NDArray[np.float32] = weights.detach().cpu().numpy().astype(np.float32)
    return array


def open_graph(graph: bytes) -> onnxruntime.InferenceSession:
    """Open a graph on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
