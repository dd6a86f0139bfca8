"""How likely a finished session's counts are: a masked autoregressive network over 64 slots. No I/O.

MADE (Germain et al. 2015): slot i is predicted from the slots before it, the commonest template
first. Counts fall into buckets and enter as thermometers. Each slot has two heads, a softmax over
the buckets and a mixture of two logistics discretised over them; the sharp one knows what was seen,
the smooth one that a neighbour of it is no wonder.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.model.counts import SLOTS, Counts
from training.model.devices import reproducible

EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 16, 24, 48, 100)  # first count of each bucket
BUCKETS = len(EDGES)
HIDDEN = 256
DROPOUT = 0.1
FLOOR = 1e-5  # least probability of the smooth head
FAR = 1e3  # beyond every bucket
RATES = (-3.0, 4.0)  # bounds of the logarithm of one over a logistic's scale

STEPS = 1500
ROWS = 128  # sessions of one step
LEARNING_RATE = 3e-3
NOISE = 0.1  # share of the rows of which one present event is counted one too many or too few


class Ending(nn.Module):
    """The network; `used` is the number of slots that training filled, the others cost nothing."""

    def __init__(self, used: int) -> None:
        """Weights are drawn from torch's global generator; `fit_ending` draws them from a seed."""
        super().__init__()
        self.used = used
        slot = torch.arange(used)
        unit = torch.arange(HIDDEN) % max(used - 1, 1)  # the last slot that each unit sees
        self.first = _Masked(slot.repeat_interleave(BUCKETS - 1), unit)
        self.second = _Masked(unit, unit)
        self.sharp = _Masked(unit, slot.repeat_interleave(BUCKETS) - 1)
        self.smooth = _Masked(unit, slot.repeat(5) - 1)

    def forward(self, counts: Tensor, drop: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities of counts [B, 64] by each head, both [B, used], in nats.

        `drop` [2, B, 256] scales the hidden units in training.
        """
        reached = counts[:, : self.used, None] >= torch.tensor(EDGES, device=counts.device)  # [B, used, 14]
        units = self.first(reached[..., 1:].flatten(1).float()).relu()  # [B, 256]
        units = units if drop is None else units * drop[0]
        more = self.second(units).relu()
        units = units + (more if drop is None else more * drop[1])
        bucket = reached.sum(-1) - 1  # [B, used]
        return self._sharp(units, bucket), self._smooth(units, bucket)

    def _sharp(self, units: Tensor, bucket: Tensor) -> Tensor:
        logits = self.sharp(units).reshape(-1, self.used, BUCKETS)
        picked: Tensor = logits.log_softmax(-1).gather(-1, bucket.unsqueeze(-1)).squeeze(-1)
        return picked

    def _smooth(self, units: Tensor, bucket: Tensor) -> Tensor:
        mix, *shapes = self.smooth(units).chunk(5, 1)  # [B, used] each
        low = torch.where(bucket == 0, -FAR, bucket - 0.5)
        high = torch.where(bucket == BUCKETS - 1, FAR, bucket + 0.5)
        one, other = (_logistic(low, high, shapes[k], shapes[k + 2]) for k in range(2))
        share = mix.sigmoid()
        mixture: Tensor = share * one + (1 - share) * other
        return mixture.clamp_min(FLOOR).log()

    def score(self, counts: Counts) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """C [B], the sum over slots of -ln P of counts [B, 64], and Cm [B], its largest term."""
        with torch.no_grad():
            sharp, smooth = self(torch.from_numpy(counts))
            costs = -((sharp.exp() + smooth.exp()) / 2).log()
        return costs.sum(1).numpy(), costs.max(1).values.numpy()


class _Masked(nn.Linear):
    """A layer whose output of degree d sees the inputs of degrees up to d."""

    mask: Tensor

    def __init__(self, inputs: Tensor, outputs: Tensor) -> None:
        super().__init__(len(inputs), len(outputs))
        self.register_buffer("mask", (outputs[:, None] >= inputs).float())

    def masked(self) -> Tensor:
        return self.weight * self.mask

    def forward(self, values: Tensor) -> Tensor:
        return functional.linear(values, self.masked(), self.bias)


def _logistic(low: Tensor, high: Tensor, centre: Tensor, sharpness: Tensor) -> Tensor:
    """Mass of a logistic between two bounds; `sharpness` is the logarithm of one over its scale."""
    rate = sharpness.clamp(*RATES).exp()
    return ((high - centre) * rate).sigmoid() - ((low - centre) * rate).sigmoid()


def fit_ending(counts: Counts, seed: int, *, steps: int = STEPS, threads: int = 1) -> Ending:
    """Fit the density of counts [N, 64] by the mean of both heads' log-likelihoods, from a seed."""
    model = _build(used_slots(counts), seed)
    numbers, dice = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
    with reproducible("cpu", threads):
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
            rows = miscounted(counts[numbers.integers(len(counts), size=ROWS)], numbers)
            drop = (torch.rand((2, ROWS, HIDDEN), generator=dice) >= DROPOUT) / (1 - DROPOUT)
            sharp, smooth = model(torch.from_numpy(rows), drop)
            optimizer.zero_grad()
            torch.autograd.backward(-(sharp + smooth).sum(1).mean() / 2)
            optimizer.step()
    return model.eval()


def _build(used: int, seed: int) -> Ending:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Ending(used)


def used_slots(counts: Counts) -> int:
    """Slots up to the last that any session fills."""
    filled = np.flatnonzero(counts.any(0))
    return int(filled[-1]) + 1 if len(filled) else 1


def miscounted(counts: Counts, rng: np.random.Generator) -> Counts:
    """In a tenth of the rows, count one event that is there once more or once less."""
    noisy = counts.copy()
    rows = np.flatnonzero((rng.random(len(counts)) < NOISE) & counts.any(1))
    slots = (rng.random((len(rows), SLOTS)) * (counts[rows] > 0)).argmax(1)
    noisy[rows, slots] += rng.choice((-1, 1), len(rows))
    return noisy
