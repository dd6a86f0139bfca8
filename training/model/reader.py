"""The second reader: a GRU from both ends with attention tells normal sessions from corrupted ones. No I/O.

Attention (Bahdanau et al. 2015) weighs what was read at each event into one context, from which the verdict
comes. In a copy it is known what was corrupted, so attention is taught to point there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from detector.bundle import READ_EVENTS
from detector.records import END
from training.model.corrupted import Random, Tokens, corrupted, known_sessions
from training.model.devices import reproducible

_Item = TypeVar("_Item", bound=np.generic)

EMBEDDING = 16
HIDDEN = 32  # each way: both fill whole vector registers
ROWS = 64  # sessions of one step, and as many copies
STEPS = 1000
PASSES = 40  # over few sessions at most
LEAST_STEPS = 300
LEARNING_RATE = 5e-3
GRADIENT_NORM = 1.0
POINTING = 0.5  # weight of where attention goes, in the loss
DOUBT = 0.02  # label smoothing (Szegedy et al. 2016); without it verdicts on rare normals have no bounds


class ReaderNetwork(nn.Module):
    """The network."""

    def __init__(self, vocabulary: int) -> None:
        """Weights are drawn from torch's global generator; `build_reader` draws them from a seed."""
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, EMBEDDING)
        self.both = nn.GRU(EMBEDDING, HIDDEN, bidirectional=True)
        self.look = nn.Linear(2 * HIDDEN, HIDDEN)
        self.weigh = nn.Linear(HIDDEN, 1, bias=False)
        self.digest = nn.Linear(2 * HIDDEN, HIDDEN)
        self.verdict = nn.Linear(HIDDEN, 1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Verdicts [B], the log-odds of a corrupted copy, and log-attention [T, B], of tokens [T, B]."""
        packed = pack_padded_sequence(self.embedding(tokens), lengths, enforce_sorted=False)
        read, _ = pad_packed_sequence(self.both(packed)[0], total_length=len(tokens))  # [T, B, 2H]
        weights = self.weigh(self.look(read).tanh()).squeeze(-1)  # [T, B]
        inside = torch.arange(len(tokens)).unsqueeze(1) < lengths
        attention = weights.masked_fill(~inside, -math.inf).log_softmax(0)
        context = (attention.exp().unsqueeze(-1) * read).sum(0)  # [B, 2H]
        return self.verdict(self.digest(context).relu()).squeeze(-1), attention


@dataclass(frozen=True, slots=True)
class _Batch:
    tokens: Tensor  # [T, B]
    lengths: Tensor  # [B]
    copies: Tensor  # [B]: 1 for a copy
    wrong: Tensor  # [T, B]: where it shows


def fit_reader(
    sessions: Sequence[Tokens],
    vocabulary: int,
    seed: int,
    *,
    steps: int | None = None,
    report: Callable[[float, int, float], None] = lambda _share, _events, _loss_bits: None,
) -> ReaderNetwork:
    """Learn to tell sessions [N], without their ends, from copies with one thing wrong; from a seed."""
    steps = steps or min(STEPS, max(LEAST_STEPS, len(sessions) * PASSES // ROWS))
    rng, known = np.random.default_rng(seed), known_sessions(sessions)
    model = build_reader(vocabulary, seed)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    events = 0
    by_length = np.argsort([len(session) for session in sessions], kind="stable")
    with reproducible("cpu", 1):
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
            chosen = [sessions[i] for i in _alike(by_length, rng)]
            batch = _batch(chosen, vocabulary, rng, known)
            loss = _loss(model, batch)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
            optimizer.step()
            events += int(batch.lengths.sum())
            report((step + 1) / steps, events, float(loss.detach()) / math.log(2))
    return model.eval()


def newest(tokens: npt.NDArray[_Item]) -> npt.NDArray[_Item]:
    """What serving still has of a session with its end."""
    return tokens[-READ_EVENTS - 1 :]


def build_reader(vocabulary: int, seed: int) -> ReaderNetwork:
    """The network with weights drawn from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ReaderNetwork(vocabulary)


def _alike(by_length: Tokens, rng: Random) -> list[int]:
    """Sessions of like length, so that little of a batch is padding."""
    begin = int(rng.integers(max(1, len(by_length) - ROWS + 1)))
    chosen: list[int] = by_length[begin : begin + ROWS].tolist()
    return chosen


def _batch(sessions: Sequence[Tokens], vocabulary: int, rng: Random, known: frozenset[bytes]) -> _Batch:
    made = (corrupted(session, vocabulary, rng, known) for session in sessions)
    copies = [copy for copy in made if copy is not None]
    plain = [np.append(session, END) for session in sessions]
    rows = [newest(row) for row in [*plain, *(copy.tokens for copy in copies)]]
    lengths = np.array([len(row) for row in rows])
    tokens = np.full((len(rows), lengths.max()), END)
    wrong = np.zeros(tokens.shape, bool)
    for at, row in enumerate(rows):
        tokens[at, : len(row)] = row
    for at, copy in enumerate(copies, len(plain)):
        wrong[at, : lengths[at]] = newest(copy.wrong)
    return _Batch(
        torch.from_numpy(np.ascontiguousarray(tokens.T)),
        torch.from_numpy(lengths),
        (torch.arange(len(rows)) >= len(plain)).float(),
        torch.from_numpy(np.ascontiguousarray(wrong.T)),
    )


def _loss(model: ReaderNetwork, batch: _Batch) -> Tensor:
    """Cross-entropy of the verdicts, and of the attention on what is wrong where serving would see it."""
    verdict, attention = model(batch.tokens, batch.lengths)
    wanted = batch.copies * (1 - 2 * DOUBT) + DOUBT
    loss: Tensor = functional.binary_cross_entropy_with_logits(verdict, wanted)
    shown = batch.wrong.any(0)
    if not shown.any():
        return loss
    pointed: Tensor = attention[:, shown].masked_fill(~batch.wrong[:, shown], -math.inf).logsumexp(0)
    lost: Tensor = loss - POINTING * pointed.mean()
    return lost


def read(model: ReaderNetwork, tokens: Tokens) -> tuple[float, Tensor]:
    """The verdict on one session with its end, and its attention [T]."""
    with torch.no_grad():
        verdict, attention = model(torch.from_numpy(tokens)[:, None], torch.tensor([len(tokens)]))
    return float(verdict[0]), attention[:, 0].exp()
