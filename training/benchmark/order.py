"""What a benchmark is asked for. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from training.model.settings import Cell, Device

Detector = Literal["tailrace", "lstm", "rnn", "reader", "ablations", "simple", "deeplog", "references"]
Variant = Literal["plain", "doubled", "lost", "swapped", "reworded", "contaminated"]

DETECTORS: tuple[Detector, ...] = get_args(Detector)
VARIANTS: tuple[Variant, ...] = get_args(Variant)
CELLS: dict[Detector, Cell] = {"tailrace": "gru", "lstm": "lstm", "rnn": "rnn"}
OF_VARIANTS: tuple[Detector, ...] = ("tailrace", "simple")  # others are measured on the plain data alone
SEEDS = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the data lies, what is run on it, and where results go."""

    data: Path
    out: Path
    seeds: int
    fit_seed: int | None  # of every fit; else that of the split
    budgets: Sequence[float]
    detectors: Sequence[Detector]
    variants: Sequence[Variant]
    epochs: int
    hidden: int
    device: Device
    processes: int

    def seed_of_fit(self, seed: int) -> int:
        """The seed that networks are drawn from."""
        return seed if self.fit_seed is None else self.fit_seed
