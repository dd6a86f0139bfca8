"""What a fit is asked for and what it tells on the way. Imports no torch, so command lines can use it."""

from dataclasses import dataclass
from typing import Literal

Cell = Literal["gru", "lstm", "rnn"]
CELLS: tuple[Cell, ...] = ("gru", "lstm", "rnn")
Device = Literal["auto", "cpu", "cuda"]
Outcome = Literal["finished", "early", "diverged"]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Everything but the data that a fit depends on; device and threads change no more than last bits."""

    cell: Cell = "gru"
    hidden: int = 64
    layers: int = 1
    embedding: int = 16
    window: int = 64  # events of one back-propagation
    batch: int = 64  # sequences side by side
    epochs: int = 10
    learning_rate: float = 0.01
    seed: int = 0
    device: Device = "auto"
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training data, as the report shows it."""

    train_bits: float  # mean surprise an event, under training noise
    validation_bits: float
    gradient_mean: float  # of the norms before clipping
    gradient_max: float
    seconds: float
    events_per_s: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a fit stands, for a progress bar."""

    epoch: int  # from 0
    fraction: float  # of the epoch
    events_per_s: float
    loss_bits: float
