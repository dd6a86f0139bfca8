"""What `fit` is asked for and what came out. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.bundle import InputSettings
from detector.shard.reader import Bounds
from training.cells import CellFacts
from training.corpus import Corpus
from training.model.settings import FitSettings
from training.sessions import Trained


@dataclass(frozen=True, slots=True)
class Order:
    """What `fit` is asked for."""

    paths: Sequence[str]
    out: Path
    input: InputSettings
    model: FitSettings
    budget: float | None
    contamination: float
    resume: bool
    bounds: Bounds
    processes: int = 1  # that fit side by side
    compare_cells: bool = False
    second_reader: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """What came out, for the report and for the closing words."""

    order: Order
    bundle_id: str
    corpus: Corpus
    trained: Trained
    idle_timeout_s: float | None  # that ended the sessions, as told or learnt
    sequences: list[tuple[int, int]]  # where each trained sequence lies in the grouped events
    cut_off: int = 0  # sessions left out because the end of the logs cut them off
    cells: Sequence[CellFacts] = ()  # where they were compared
