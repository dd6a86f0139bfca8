"""The sequence model: one recurrent network that says how surprising every event is. No I/O.

An event is scored against the state before it, then the state advances. The first event of a
source is scored against the zero state. Shapes: T events in time, B rows, V tokens, H units,
L layers, S numbers of state a row.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from training.model.settings import Cell

_NETWORKS: dict[Cell, type[nn.GRU | nn.LSTM | nn.RNN]] = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}

BITS_PER_NAT = 1.0 / math.log(2.0)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes that fix a model's weights; `vocabulary` counts the templates and the two other tokens."""

    vocabulary: int
    cell: Cell = "gru"
    hidden: int = 64
    layers: int = 1
    embedding: int = 16

    @property
    def state_size(self) -> int:
        """S: numbers of state a source; an LSTM keeps h and c."""
        return self.layers * self.hidden * (2 if self.cell == "lstm" else 1)


class SequenceModel(nn.Module):
    """Predict every event from the ones before it.

    The state is one flat float32 row [S] per source: h of every layer, bottom first; an LSTM adds c of
    every layer after that.
    """

    def __init__(self, shape: ModelShape) -> None:
        """Weights are drawn from torch's global generator; `build` draws them from a seed."""
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.embedding)
        self.recurrent = _NETWORKS[shape.cell](shape.embedding, shape.hidden, shape.layers)
        self.output = nn.Linear(shape.hidden, shape.vocabulary)

    def forward(
        self, tokens: Tensor, lengths: Tensor | None, hidden: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score events and advance the state.

        tokens [T, B] int64, lengths [B] of 1..T or None where every row is full, hidden [B, S].
        Returns surprise [T, B] and entropy of the same prediction [T, B], both in bits, and the state
        [B, S] after each row's last event. Values past a row's length mean nothing.
        """
        log_p, hidden = self.predict(tokens, lengths, hidden)
        surprise = -log_p.gather(-1, tokens.unsqueeze(-1)).squeeze(-1) * BITS_PER_NAT  # [T, B]
        entropy = -(log_p.exp() * log_p).sum(-1) * BITS_PER_NAT  # [T, B]
        return surprise, entropy, hidden

    def predict(self, tokens: Tensor, lengths: Tensor | None, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [T, B, V] of each event before it is seen, in nats, and the state [B, S]."""
        state = self._unflatten(hidden)
        tops, after = self._advance(self.embedding(tokens), lengths, state)  # tops [T, B, H]
        first = state[self.shape.layers - 1].unsqueeze(0)  # top layer's h before the first event [1, B, H]
        before = torch.cat((first, tops[:-1]))  # [T, B, H]
        return self.output(before).log_softmax(-1), after.transpose(0, 1).flatten(1)

    def zero_state(self, rows: int) -> Tensor:
        """The state [rows, S] of sources that have seen nothing."""
        return self.output.weight.new_zeros(rows, self.shape.state_size)

    def _unflatten(self, hidden: Tensor) -> Tensor:
        rows = hidden.reshape(len(hidden), -1, self.shape.hidden)  # [B, L or 2L, H]
        return rows.transpose(0, 1).contiguous()

    def _advance(self, inputs: Tensor, lengths: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run the cell over inputs [T, B, E]; a row's state stops changing at its length."""
        steps = len(inputs)
        start = state.chunk(2) if self.shape.cell == "lstm" else state
        if lengths is None:
            tops, after = self.recurrent(inputs, start)
        else:
            packed = pack_padded_sequence(inputs, lengths.cpu(), enforce_sorted=False)
            packed, after = self.recurrent(packed, start)
            tops, _ = pad_packed_sequence(packed, total_length=steps)
        return tops, torch.cat(after) if self.shape.cell == "lstm" else after


def build(shape: ModelShape, seed: int) -> SequenceModel:
    """Draw a model's weights from a seed; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SequenceModel(shape)
