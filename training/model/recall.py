"""A task that only memory solves: name the first event of a row after a given distance. No I/O.

After task 2b of Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997: what stands between the
symbol and the question is noise drawn anew for every row, so nothing else tells the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from training.model.model import BITS_PER_NAT, ModelShape, SequenceModel, build
from training.model.run import GRADIENT_NORM

SYMBOLS = 8  # one of them is to be remembered
NOISE = 8  # others fill the distance
QUESTION = SYMBOLS + NOISE
VOCABULARY = QUESTION + 1
CHANCE = 1 / SYMBOLS

ROWS = 64  # of one step
EXAM_ROWS = 512
LEARNING_RATE = 0.003
NEAR = 4  # events, the first distance that is learnt
FARTHER = 1.3  # times the distance when one is passed
PASSED = 0.95  # share named, smoothed, that passes a distance
SMOOTH = 0.8  # of the share before


@dataclass(frozen=True, slots=True)
class Recall:
    """What a cell remembers over one distance."""

    distance: int
    accuracy: float  # share of symbols named; CHANCE is a guess


def draw_rows(distance: int, rows: int, dice: torch.Generator) -> Tensor:
    """Tokens [distance + 1, rows]: a symbol, noise, the question and, so far after it, the symbol again."""
    tokens = torch.randint(SYMBOLS, QUESTION, (distance + 1, rows), generator=dice)
    tokens[0] = torch.randint(SYMBOLS, (rows,), generator=dice)
    tokens[-2] = QUESTION
    tokens[-1] = tokens[0]
    return tokens


def learn_recall(
    shape: ModelShape,
    distances: Sequence[int],
    *,
    events: int,
    seed: int,
    told: Callable[[float, float], None] = lambda *_: None,
) -> list[Recall]:
    """Train a cell of this shape, from a seed, on at most so many events, and examine it at each distance.

    The distance grows whenever it is passed, up to the largest, as in curriculum learning (Bengio et al.
    2009): at a distance that no gradient bridges a cell never begins to learn. Gradients go back over the
    whole row. `told` gets the share that is done and the bits an answer costs.
    """
    model = build(ModelShape(VOCABULARY, shape.cell, shape.hidden, shape.layers, shape.embedding), seed)
    dice = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    distance, share, read = min(NEAR, *distances), 0.0, 0
    while read < events and distance <= max(distances):
        tokens = draw_rows(distance, ROWS, dice)
        right, bits = _learn(model, optimizer, tokens)
        share = SMOOTH * share + (1 - SMOOTH) * right
        read += tokens.numel()
        told(min(read / events, 1.0), bits)
        if share >= PASSED:
            distance, share = _farther(distance, max(distances)), 0.0
    return [Recall(distance, _examine(model, draw_rows(distance, EXAM_ROWS, dice))) for distance in distances]


def _farther(distance: int, longest: int) -> int:
    """The next distance; beyond the longest when that is passed."""
    if distance == longest:
        return longest + 1
    return min(max(distance + 1, int(FARTHER * distance)), longest)


def _learn(model: SequenceModel, optimizer: torch.optim.Optimizer, tokens: Tensor) -> tuple[float, float]:
    """Take one step; the share that was right before it, and the bits that an answer cost."""
    answers = _answers(model, tokens)
    nats = nn.functional.cross_entropy(answers, tokens[-1])
    optimizer.zero_grad()
    torch.autograd.backward(nats)
    clip_grad_norm_(model.parameters(), GRADIENT_NORM)
    optimizer.step()
    return _share(answers, tokens), float(nats.detach()) * BITS_PER_NAT


def _examine(model: SequenceModel, tokens: Tensor) -> float:
    with torch.no_grad():
        return _share(_answers(model, tokens), tokens)


def _share(answers: Tensor, tokens: Tensor) -> float:
    return float((answers.argmax(-1) == tokens[-1]).double().mean())


def _answers(model: SequenceModel, tokens: Tensor) -> Tensor:
    """Scores [B, SYMBOLS] of what comes after the question; other tokens are no answer."""
    tops, _ = model.recurrent(model.embedding(tokens[:-1]))
    scores: Tensor = model.output(tops[-1])[:, :SYMBOLS]
    return scores
