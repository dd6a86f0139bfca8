"""How much memory back-propagation through a window holds. No I/O."""

import torch
from torch import Tensor

from training.model.model import SequenceModel


def held_bytes(model: SequenceModel, window: int, rows: int) -> int:
    """Bytes that one window [T, B] of a training step keeps for its way back, without the weights.

    This is the peak of a step but for what is freed within one operator: the forward pass adds up to
    it, the backward pass gives it back (Williams and Zipser 1995, truncated back-propagation).
    """
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    held: dict[int, int] = {}
    alive: list[Tensor] = []  # an address is given out again once its tensor is gone

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    tokens = torch.zeros(window, rows, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        log_p, _ = model.predict(tokens, None, model.zero_state(rows))
        log_p.gather(-1, tokens.unsqueeze(-1)).sum()
    return sum(held.values())


def extrapolated_bytes(model: SequenceModel, window: int, rows: int) -> int:
    """What `held_bytes` says of many rows, told from few: a part does not grow with them, the rest does."""
    few, more = held_bytes(model, window, 4), held_bytes(model, window, 8)
    return few + (more - few) // 4 * (rows - 4)
