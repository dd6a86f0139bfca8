"""Train a reference network on sequences, and score the events of others. Pure."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from detector.records import END
from training.benchmark.detectors.reference.networks import CONTEXT
from training.evaluate.baselines import Tokens
from training.model.model import BITS_PER_NAT

BATCH_EVENTS = 4_096
LEARNING_RATE = 0.003
GRADIENT_NORM = 1.0
EPOCH_EVENTS = 500_000  # an epoch of more data is a random part of it, as for the product

Measure = Literal["surprise", "rank"]
Scores = npt.NDArray[np.float64]


class Piece(NamedTuple):
    """At most CONTEXT events of one sequence."""

    sequence: int
    start: int  # in its sequence
    tokens: Tokens


def fit(
    make: Callable[[int], nn.Module],
    sequences: Sequence[Tokens],
    vocabulary: int,
    *,
    seed: int,
    epochs: int,
    device: torch.device,
) -> nn.Module:
    """Draw a network from a seed and train it to predict events; the learning rate falls along a cosine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make(vocabulary).to(device)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    rng, pieces = np.random.default_rng(seed), _pieces(sequences)
    for _ in range(epochs):
        batches = _batches(_some(pieces, rng))
        for at in rng.permutation(len(batches)).tolist():
            tokens, inside = _padded(batches[at], device)
            log_p = _log_p(network, tokens)
            optimizer.zero_grad()
            torch.autograd.backward(-(log_p * inside).sum() / inside.sum())
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
            optimizer.step()
        schedule.step()
    return network.eval()


def event_scores(
    network: nn.Module, sequences: Sequence[Tokens], measure: Measure, device: torch.device
) -> list[Scores]:
    """How strange each event of each sequence is: its surprise in bits, or how many were likelier."""
    scores = [np.zeros(len(tokens)) for tokens in sequences]
    with torch.no_grad():
        for batch in _batches(_pieces(sequences)):
            tokens, _ = _padded(batch, device)
            values = _measured(network, tokens, measure).cpu().numpy()
            for piece, row in zip(batch, values, strict=True):
                size = len(piece.tokens)
                scores[piece.sequence][piece.start : piece.start + size] = row[:size]
    return scores


def _measured(network: nn.Module, tokens: Tensor, measure: Measure) -> Tensor:
    logits = network(tokens)
    if measure == "surprise":
        surprise: Tensor = _picked(logits.log_softmax(-1), tokens) * -BITS_PER_NAT
        return surprise
    rank: Tensor = (logits > _picked(logits, tokens).unsqueeze(-1)).sum(-1)
    return rank


def _log_p(network: nn.Module, tokens: Tensor) -> Tensor:
    return _picked(network(tokens).log_softmax(-1), tokens)


def _picked(values: Tensor, tokens: Tensor) -> Tensor:
    return values.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def _pieces(sequences: Sequence[Tokens]) -> list[Piece]:
    return [
        Piece(number, at, tokens[at : at + CONTEXT])
        for number, tokens in enumerate(sequences)
        for at in range(0, len(tokens), CONTEXT)
    ]


def _some(pieces: Sequence[Piece], rng: np.random.Generator) -> list[Piece]:
    order = rng.permutation(len(pieces))
    events = np.cumsum([len(pieces[i].tokens) for i in order.tolist()])
    many = max(1, int(np.searchsorted(events, EPOCH_EVENTS, "right")))
    return [pieces[i] for i in order[:many].tolist()]


def _batches(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces of like length side by side, about as many events in each batch."""
    batches: list[list[Piece]] = [[]]
    for piece in sorted(pieces, key=lambda piece: len(piece.tokens)):
        if batches[-1] and (len(batches[-1]) + 1) * len(piece.tokens) > BATCH_EVENTS:
            batches.append([])
        batches[-1].append(piece)
    return batches


def _padded(batch: Sequence[Piece], device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens [B, T], and which of them are there."""
    longest = max(len(piece.tokens) for piece in batch)
    tokens = np.full((len(batch), longest), END, np.int64)
    for row, piece in zip(tokens, batch, strict=True):
        row[: len(piece.tokens)] = piece.tokens
    lengths = np.array([len(piece.tokens) for piece in batch])
    inside = np.arange(longest) < lengths[:, np.newaxis]
    return torch.from_numpy(tokens).to(device), torch.from_numpy(inside.astype(np.float32)).to(device)
