"""How far back a model can learn: the gradient of the newest event's surprise by lag. No I/O.

Where the norm falls off as a power of the lag, the gradient vanishes (Hochreiter 1991; Bengio, Simard
and Frasconi 1994; Pascanu, Mikolov and Bengio 2013, equation 5).
"""

import numpy as np
import torch
from torch import Tensor

from training.model.model import BITS_PER_NAT, SequenceModel
from training.model.sequences import Stream, Tokens

LAGS = 512
ROWS = 32  # places in the data over which the norm is averaged


def gradient_by_lag(model: SequenceModel, tokens: Tensor) -> list[float]:
    """Norms of the gradient of the last event's surprise by the embedding of the event k before it.

    tokens [T + 1, B] int64, each row from the zero state. Returns T numbers for the lags k = 1 … T, in
    bits a unit of embedding: the root mean square over the rows. Float32 ends near 1e-38.
    """
    inputs = model.embedding(tokens[:-1]).detach().requires_grad_()  # [T, B, E]
    tops, _ = model.recurrent(inputs)
    log_p = model.output(tops[-1]).log_softmax(-1)  # [B, V]
    bits = -log_p.gather(-1, tokens[-1:].T).sum() * BITS_PER_NAT  # rows do not touch one another
    [gradient] = torch.autograd.grad(bits, inputs)
    squares = gradient.double().square().sum(-1).mean(-1)  # [T]
    return [float(norm) for norm in squares.sqrt().flip(0)]


def lag_rows(events: Stream) -> Tokens:
    """Rows [T + 1, B] of consecutive events from all over the data [N], T at most 512; N may be mapped."""
    size = min(LAGS + 1, len(events))
    starts = np.linspace(0, len(events) - size, ROWS).astype(np.int64)
    rows: Tokens = events[starts + np.arange(size)[:, np.newaxis]].astype(np.int64)
    return rows
