"""Write the ending graph: the density of a session's counts in ONNX's own operators. No I/O."""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from training.export.graph import LANES, NEVER, Graph, to_numpy
from training.model.counts import SLOTS
from training.model.ending import BUCKETS, EDGES, FAR, FLOOR, RATES, Ending

_WIDE = -(-BUCKETS // LANES) * LANES  # buckets, filled up to whole vector registers as the slots are
_NO_COUNT = 3e38  # edge of a filler bucket

Floats = npt.NDArray[np.float32]


def export_ending(ending: Ending) -> bytes:
    """Write the network as a graph for any number of sessions.

    Input: counts float32 [B, 64]. Outputs: c float32 [B], the sum over slots of -ln P, and c_max
    float32 [B], its largest term. Slots that training never filled cost nothing.
    """
    graph, slots = Graph(), -(-ending.used // LANES) * LANES
    _write_constants(graph, ending, slots)
    _write_buckets(graph)
    _write_units(graph, ending, slots)
    _write_sharp(graph, ending, slots)
    _write_smooth(graph, ending, slots)
    _write_costs(graph)
    return graph.to_bytes("tailrace_ending", *_interface())


def _interface() -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    describe = helper.make_tensor_value_info
    counts = describe("counts", TensorProto.FLOAT, ["B", SLOTS])
    return [counts], [describe(name, TensorProto.FLOAT, ["B"]) for name in ("c", "c_max")]


def _write_constants(graph: Graph, ending: Ending, slots: int) -> None:
    graph.integers("first", 0)
    graph.integers("second", 1)
    graph.integers("last", -1)
    graph.integers("slots", slots)
    graph.integers("flat", -1, slots * _WIDE)
    graph.integers("by_slot", -1, slots, _WIDE)
    graph.integers("heads", *[slots] * 5)
    graph.floats("edges", [*EDGES, *[_NO_COUNT] * (_WIDE - BUCKETS)])
    graph.floats("used", np.arange(slots) < ending.used)
    for name, value in {
        "zero": 0,
        "half": 0.5,
        "one": 1,
        "top": BUCKETS - 1,
        "far": FAR,
        "minus_far": -FAR,
        "floor": FLOOR,
        "slowest": RATES[0],
        "fastest": RATES[1],
    }.items():
        graph.floats(name, value)


def _write_buckets(graph: Graph) -> None:
    """Which edges each count reaches [B, slots, 16], and the bucket it falls in [B, slots]."""
    graph.add("Slice", ["counts", "first", "slots", "second"], "kept")
    graph.add("Unsqueeze", ["kept", "last"], "column")
    graph.add("GreaterOrEqual", ["column", "edges"], "reaches")
    graph.add("Cast", ["reaches"], "reached", to=TensorProto.FLOAT)
    graph.add("ReduceSum", ["reached", "last"], "reached_edges", keepdims=0)
    graph.add("Sub", ["reached_edges", "one"], "bucket")


def _write_units(graph: Graph, ending: Ending, slots: int) -> None:
    """The hidden units [B, 256]; the first edge is always reached and carries no weight."""
    weight = to_numpy(ending.first.masked()).reshape(-1, ending.used, BUCKETS - 1)
    room = ((0, 0), (0, slots - ending.used), (1, _WIDE - BUCKETS))
    graph.floats("first_weight", np.pad(weight, room).reshape(len(weight), -1).T)
    graph.floats("first_bias", to_numpy(ending.first.bias))
    graph.floats("second_weight", to_numpy(ending.second.masked()).T)
    graph.floats("second_bias", to_numpy(ending.second.bias))
    graph.add("Reshape", ["reached", "flat"], "thermometers")
    _write_layer(graph, "thermometers", "first")
    graph.add("Relu", ["first_sum"], "first_units")
    _write_layer(graph, "first_units", "second")
    graph.add("Relu", ["second_sum"], "more_units")
    graph.add("Add", ["first_units", "more_units"], "units")


def _write_layer(graph: Graph, below: str, name: str) -> None:
    graph.add("MatMul", [below, f"{name}_weight"], f"{name}_product")
    graph.add("Add", [f"{name}_product", f"{name}_bias"], f"{name}_sum")


def _write_sharp(graph: Graph, ending: Ending, slots: int) -> None:
    """Probability of the bucket by the softmax [B, slots]."""
    room = ((0, slots - ending.used), (0, _WIDE - BUCKETS))
    weight = to_numpy(ending.sharp.masked()).reshape(ending.used, BUCKETS, -1)
    bias = to_numpy(ending.sharp.bias).reshape(ending.used, BUCKETS)
    filled = np.pad(bias, room, constant_values=NEVER)
    graph.floats("sharp_weight", np.pad(weight, (*room, (0, 0))).reshape(slots * _WIDE, -1).T)
    graph.floats("sharp_bias", filled.reshape(-1))
    _write_layer(graph, "units", "sharp")
    graph.add("Reshape", ["sharp_sum", "by_slot"], "logits")
    graph.add("Softmax", ["logits"], "shares", axis=-1)
    graph.add("Unsqueeze", ["bucket", "last"], "bucket_column")
    graph.add("Cast", ["bucket_column"], "bucket_index", to=TensorProto.INT64)
    graph.add("GatherElements", ["shares", "bucket_index"], "share", axis=-1)
    graph.add("Squeeze", ["share", "last"], "sharp_p")


def _write_smooth(graph: Graph, ending: Ending, slots: int) -> None:
    """Probability of the bucket by the two logistics [B, slots]."""
    room = ((0, 0), (0, slots - ending.used))
    weight = to_numpy(ending.smooth.masked()).reshape(5, ending.used, -1)
    bias = to_numpy(ending.smooth.bias).reshape(5, ending.used)
    graph.floats("smooth_weight", np.pad(weight, (*room, (0, 0))).reshape(5 * slots, -1).T)
    graph.floats("smooth_bias", np.pad(bias, room).reshape(-1))
    _write_layer(graph, "units", "smooth")
    graph.add("Split", ["smooth_sum", "heads"], "mix", "centre0", "centre1", "rate0", "rate1", axis=1)
    _write_bounds(graph)
    for one in ("0", "1"):
        _write_logistic(graph, one)
    graph.add("Sigmoid", ["mix"], "share0")
    graph.add("Sub", ["one", "share0"], "share1")
    graph.add("Mul", ["share0", "mass0"], "part0")
    graph.add("Mul", ["share1", "mass1"], "part1")
    graph.add("Add", ["part0", "part1"], "mixture")
    graph.add("Max", ["mixture", "floor"], "smooth_p")


def _write_bounds(graph: Graph) -> None:
    """Half a bucket to either side; the outermost buckets have no end."""
    graph.add("Equal", ["bucket", "zero"], "lowest")
    graph.add("Equal", ["bucket", "top"], "highest")
    graph.add("Sub", ["bucket", "half"], "below")
    graph.add("Add", ["bucket", "half"], "above")
    graph.add("Where", ["lowest", "minus_far", "below"], "low")
    graph.add("Where", ["highest", "far", "above"], "high")


def _write_logistic(graph: Graph, one: str) -> None:
    graph.add("Clip", [f"rate{one}", "slowest", "fastest"], f"log_rate{one}")
    graph.add("Exp", [f"log_rate{one}"], f"speed{one}")
    for bound in ("low", "high"):
        graph.add("Sub", [bound, f"centre{one}"], f"{bound}_from{one}")
        graph.add("Mul", [f"{bound}_from{one}", f"speed{one}"], f"{bound}_scaled{one}")
        graph.add("Sigmoid", [f"{bound}_scaled{one}"], f"{bound}_mass{one}")
    graph.add("Sub", [f"high_mass{one}", f"low_mass{one}"], f"mass{one}")


def _write_costs(graph: Graph) -> None:
    graph.add("Add", ["sharp_p", "smooth_p"], "both")
    graph.add("Mul", ["both", "half"], "p")
    graph.add("Log", ["p"], "log_p")
    graph.add("Neg", ["log_p"], "nats")
    graph.add("Mul", ["nats", "used"], "costs")
    graph.add("ReduceSum", ["costs", "last"], "c", keepdims=0)
    graph.add("ReduceMax", ["costs"], "c_max", axes=[1], keepdims=0)
