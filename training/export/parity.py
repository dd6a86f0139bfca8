"""Compare the networks in torch with their graphs in the runtime. No I/O."""

import math

import numpy as np
import torch

from training.export.graph import open_graph
from training.model.counts import SLOTS, Counts
from training.model.ending import Ending
from training.model.model import SequenceModel


def check_parity(model: SequenceModel, graph: bytes, *, steps: int = 10_000, seed: int = 0) -> float:
    """Largest difference in bits between a torch run and single ONNX steps over random tokens."""
    tokens = np.random.default_rng(seed).integers(0, model.shape.vocabulary, (steps, 1))
    with torch.inference_mode():
        surprise, entropy, _ = model(torch.from_numpy(tokens), None, model.zero_state(1))
    expected = torch.cat((surprise, entropy), 1).cpu().numpy()
    session, one = open_graph(graph), np.ones(1, np.int32)
    hidden, largest = np.zeros((1, model.shape.state_size), np.float32), 0.0
    for row, token in zip(expected, tokens, strict=True):
        feed = {"tokens": token[np.newaxis], "lengths": one, "hidden": hidden}
        bits, spread, hidden = session.run(["surprise", "entropy", "hidden_out"], feed)
        difference = max(abs(float(bits[0, 0]) - row[0]), abs(float(spread[0, 0]) - row[1]))
        largest = max(largest, difference if math.isfinite(difference) else math.inf)
    return largest


def check_ending_parity(ending: Ending, graph: bytes, *, rows: int = 1000, seed: int = 0) -> float:
    """Largest difference in nats between torch and ONNX over random counts, each session scored alone."""
    rng = np.random.default_rng(seed)
    counts: Counts = rng.geometric(0.3, (rows, SLOTS)) - 1
    session, largest = open_graph(graph), 0.0
    for row, sum_nats, max_nats in zip(counts, *ending.score(counts), strict=True):
        total, most = session.run(None, {"counts": row[np.newaxis].astype(np.float32)})
        largest = max(largest, abs(float(total[0] - sum_nats)), abs(float(most[0] - max_nats)))
    return largest
