"""A training run between its epochs: weights, optimizer, best weights, history. No files."""

import math
from collections.abc import Callable, Iterator
from dataclasses import astuple
from itertools import starmap
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from training.model.devices import half_precision, moved
from training.model.lessons import Lessons
from training.model.model import BITS_PER_NAT, ModelShape, SequenceModel, build
from training.model.sequences import Window
from training.model.settings import Epoch, FitSettings, Outcome, Progress

GRADIENT_NORM = 1.0  # gradients are clipped to it
WARM_UP = 0.1  # share of the run over which the learning rate rises
PATIENCE = 4  # epochs without a better validation that end a run
EXPLODED = 4.0  # a window that costs this many times a blind guess's bits is a divergence

Report = Callable[[Progress], None]
Clock = Callable[[], float]


class Run:
    """One fit in progress; everything that the next epoch depends on."""

    def __init__(self, settings: FitSettings, vocabulary: int, device: torch.device) -> None:
        """Draw the first weights from the seed."""
        shape = ModelShape(vocabulary, settings.cell, settings.hidden, settings.layers, settings.embedding)
        self.settings = settings
        self.model = build(shape, settings.seed).to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), settings.learning_rate)
        self.scaler = torch.amp.GradScaler(device.type, enabled=half_precision(device))
        self.best = _copy(self.model)
        self.history: list[Epoch] = []
        self.outcome: Outcome | None = None

    def state(self) -> dict[str, Any]:
        """Everything in tensors and plain values, for a checkpoint."""
        return {
            "rows": self.settings.batch,
            "weights": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),  # empty on a CPU
            "best": self.best,
            "history": [astuple(epoch) for epoch in self.history],
            "outcome": self.outcome,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned, of a run with as many rows."""
        self.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.best = state["best"]
        self.history = list(starmap(Epoch, state["history"]))
        self.outcome = state["outcome"]

    def best_model(self) -> SequenceModel:
        """A model with the best epoch's weights, on the CPU."""
        model = build(self.model.shape, self.settings.seed)
        model.load_state_dict(self.best)
        return model.eval()

    def one_epoch(self, lessons: Lessons, report: Report, clock: Clock) -> None:
        """Train on every window once, validate, and decide how the run goes on."""
        meter = _Meter(len(self.history), lessons.events, clock)
        for nats, events in losses(self.model, lessons.training(len(self.history))):
            self._set_learning_rate(meter)
            norm = self.learn(nats / events) if events else 0.0
            meter.add(float(nats.detach()) * BITS_PER_NAT, events, norm)
            if self._exploded(meter):
                self.outcome = "diverged"
                return
            if meter.events:  # the first windows of a long stream may only warm the state
                report(meter.progress())
        self._judge(meter.epoch(self._validate(lessons)))

    def learn(self, loss: Tensor) -> float:
        """Take one step of Adam and return the gradient's norm before clipping.

        In half precision a gradient is scaled so that small ones survive; a step of which one overflows is
        left out, and its norm is 0 (Micikevicius et al. 2018, "Mixed precision training").
        """
        self.optimizer.zero_grad()
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        norm = float(clip_grad_norm_(self.model.parameters(), GRADIENT_NORM))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return norm if math.isfinite(norm) or not self.scaler.is_enabled() else 0.0

    def _set_learning_rate(self, meter: "_Meter") -> None:
        done = (meter.number + meter.fraction) / self.settings.epochs
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * learning_rate_factor(done)

    def _exploded(self, meter: "_Meter") -> bool:
        limit = EXPLODED * math.log2(self.model.shape.vocabulary)
        return not (math.isfinite(meter.norm) and meter.loss_bits <= limit)

    def _validate(self, lessons: Lessons) -> float:
        """Mean surprise of the held-out events in bits."""
        total, count = 0.0, 0.0
        with torch.no_grad():
            for nats, events in losses(self.model, lessons.validation()):
                total, count = total + float(nats), count + events
        return total / max(count, 1.0) * BITS_PER_NAT

    def _judge(self, epoch: Epoch) -> None:
        """Keep the epoch, its weights if they are the best so far, and say whether the run is over."""
        self.history.append(epoch)
        bits = [past.validation_bits for past in self.history]
        best = bits.index(min(bits))
        if best == len(bits) - 1:
            self.best = _copy(self.model)
        if not math.isfinite(epoch.validation_bits):
            self.outcome = "diverged"
        elif len(bits) >= self.settings.epochs:
            self.outcome = "finished"
        elif len(bits) - 1 - best >= PATIENCE:
            self.outcome = "early"


class _Meter:
    """What one epoch has cost so far."""

    def __init__(self, number: int, expected: int, clock: Clock) -> None:
        self.number, self.expected, self.clock = number, expected, clock
        self.started = clock()
        self.bits = self.events = self.loss_bits = self.norm = 0.0
        self.norms: list[float] = []

    def add(self, bits: float, events: float, norm: float) -> None:
        self.bits += bits
        self.events += events
        self.loss_bits = bits / max(events, 1.0)
        self.norm = norm
        self.norms.append(norm)

    @property
    def fraction(self) -> float:
        return min(self.events / self.expected, 1.0)

    @property
    def seconds(self) -> float:
        return self.clock() - self.started

    @property
    def events_per_s(self) -> float:
        return self.events / max(self.seconds, 1e-9)

    def progress(self) -> Progress:
        return Progress(self.number, self.fraction, self.events_per_s, self.loss_bits)

    def epoch(self, validation_bits: float) -> Epoch:
        return Epoch(
            train_bits=self.bits / max(self.events, 1.0),
            validation_bits=validation_bits,
            gradient_mean=sum(self.norms) / max(len(self.norms), 1),
            gradient_max=max(self.norms, default=0.0),
            seconds=self.seconds,
            events_per_s=self.events_per_s,
        )


def losses(model: SequenceModel, windows: Iterator[Window]) -> Iterator[tuple[Tensor, float]]:
    """Each window's summed surprise in nats and its number of events; the state is carried, detached."""
    hidden = model.zero_state(0)
    for window in windows:
        tokens, weights, fresh = (
            moved(array, hidden.device) for array in (window.tokens, window.weights, window.fresh)
        )
        blank = model.zero_state(len(fresh))
        hidden = blank if window.fresh.all() else torch.where(fresh.unsqueeze(1), blank, hidden.detach())
        with torch.autocast(hidden.device.type, torch.float16, enabled=half_precision(hidden.device)):
            log_p, hidden = model.predict(tokens, None, hidden)
        picked = log_p.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)  # [T, B]
        yield -(picked * weights).sum(), float(window.weights.sum())


def learning_rate_factor(done: float) -> float:
    """Rise to one over the warm-up, then fall along a cosine to a hundredth (Loshchilov and Hutter 2017)."""
    if done < WARM_UP:
        return max(done / WARM_UP, 0.01)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def _copy(model: SequenceModel) -> dict[str, Tensor]:
    return {name: weights.detach().cpu().clone() for name, weights in model.state_dict().items()}
