"""Networks that predict every event from those before it. No I/O.

Shapes: B rows, T events in time, V tokens. The first event is predicted from nothing; padding comes last.
"""

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from detector.records import END

SIZE = 64  # of every layer's state
EMBEDDING = 16
WINDOW = 10  # events that DeepLog looks back at
KERNEL = 3
DILATIONS = (1, 2, 4, 8, 16)
HEADS = 4
LAYERS = 2
CONTEXT = 512  # events that attention looks back at most


class Network(Protocol):
    """Predicts events."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits [B, T, V] of each event of tokens [B, T], from the events before it."""


def _before(tokens: Tensor) -> Tensor:
    """Tokens one place later: what is known before each event; sequences begin after an end."""
    return torch.cat((torch.full_like(tokens[:, :1], END), tokens[:, :-1]), dim=1)


class Recurrent(nn.Module):
    """One recurrent layer over the whole sequence, as the product has it."""

    def __init__(self, vocabulary: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, EMBEDDING)
        self.layer = nn.GRU(EMBEDDING, SIZE, batch_first=True)
        self.output = nn.Linear(SIZE, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """See `Network`."""
        return self.output(self.layer(self.embedding(_before(tokens)))[0])  # type: ignore[no-any-return]


class Windowed(nn.Module):
    """DeepLog's model of log keys: two LSTM layers over the last events alone (Du et al. 2017)."""

    def __init__(self, vocabulary: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, EMBEDDING)
        self.layers = nn.LSTM(EMBEDDING, SIZE, 2, batch_first=True)
        self.output = nn.Linear(SIZE, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """See `Network`; each event's window runs from a blank state."""
        rows, steps = tokens.shape
        border = torch.full((rows, WINDOW), END, dtype=tokens.dtype, device=tokens.device)
        windows = torch.cat((border, tokens[:, :-1]), dim=1).unfold(1, WINDOW, 1)  # [B, T, WINDOW]
        tops, _ = self.layers(self.embedding(windows.reshape(rows * steps, WINDOW)))
        return self.output(tops[:, -1]).view(rows, steps, -1)  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """A causal temporal convolution with growing dilations (Bai, Kolter, Koltun 2018)."""

    def __init__(self, vocabulary: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, SIZE)
        self.layers = nn.ModuleList(nn.Conv1d(SIZE, SIZE, KERNEL, dilation=d) for d in DILATIONS)
        self.output = nn.Linear(SIZE, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """See `Network`."""
        found = self.embedding(_before(tokens)).transpose(1, 2)  # [B, SIZE, T]
        for layer, dilation in zip(self.layers, DILATIONS, strict=True):
            padded = nn.functional.pad(found, ((KERNEL - 1) * dilation, 0))
            found = found + layer(padded).relu()
        return self.output(found.transpose(1, 2))  # type: ignore[no-any-return]

    @property
    def reach(self) -> int:
        """Events that a prediction looks back at."""
        return 1 + (KERNEL - 1) * sum(DILATIONS)


class Attention(nn.Module):
    """A small causal transformer with sines for places (Vaswani et al. 2017), layers normed before."""

    def __init__(self, vocabulary: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, SIZE)
        layer = nn.TransformerEncoderLayer(
            SIZE, HEADS, 4 * SIZE, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.output = nn.Linear(SIZE, vocabulary)
        self.register_buffer("places", _sines(CONTEXT), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """See `Network`; at most CONTEXT events."""
        steps = tokens.shape[1]
        places: Tensor = self.get_buffer("places")[:steps]
        mask = nn.Transformer.generate_square_subsequent_mask(steps, device=tokens.device)
        found = self.layers(self.embedding(_before(tokens)) + places, mask=mask, is_causal=True)
        return self.output(found)  # type: ignore[no-any-return]


def _sines(steps: int) -> Tensor:
    at = torch.arange(steps).unsqueeze(1)
    rates = torch.exp(torch.arange(0, SIZE, 2) * (-math.log(10_000.0) / SIZE))
    places = torch.zeros(steps, SIZE)
    places[:, 0::2], places[:, 1::2] = torch.sin(at * rates), torch.cos(at * rates)
    return places
