"""Compare the recurrent cells on the same footing: how each learns, remembers and costs. No files."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from training.model.fit import fit
from training.model.held import extrapolated_bytes
from training.model.lags import LAGS, gradient_by_lag, lag_rows
from training.model.lessons import session_lessons, stream_lessons
from training.model.model import ModelShape, SequenceModel, build
from training.model.recall import Recall, learn_recall
from training.model.run import Report
from training.model.sequences import Stream
from training.model.settings import CELLS, Cell, FitSettings, Progress

MOST_EVENTS = 50_000  # of the data that each cell is trained on
DISTANCES = (50, 200, 1_000)
RECALL_EVENTS = 2_000_000  # of training in the recall task, some seconds
WINDOWS = (16, 64, 256, 1_024)

Stage = Callable[[str], Report]


@dataclass(frozen=True, slots=True)
class CellFacts:
    """What one cell came to."""

    cell: Cell
    parameters: int
    held_out_bits: float  # an event, best epoch
    seconds: float  # of training on the data
    events_per_s: float
    drawn: list[float]  # gradient norm by lag, 1 first, with the weights as drawn
    trained: list[float]  # the same after training
    recalls: list[Recall]
    held: list[tuple[int, int]]  # truncation window and the bytes that back-propagation holds


def compare_cells(
    sequences: Sequence[Stream], vocabulary: int, settings: FitSettings, stage: Stage, *, session: bool
) -> list[CellFacts]:
    """Train and examine every cell with the same sizes, seed and data [N sequences of tokens].

    On a CPU all but the times is the same again with the same seed.
    """
    part = _part(sequences, session=session)
    return [
        _examine(part, vocabulary, replace(settings, cell=cell), stage, session=session) for cell in CELLS
    ]


def _examine(
    part: Sequence[Stream], vocabulary: int, settings: FitSettings, stage: Stage, *, session: bool
) -> CellFacts:
    shape = ModelShape(vocabulary, settings.cell, settings.hidden, settings.layers, settings.embedding)
    lessons = session_lessons(part, settings) if session else stream_lessons(part, settings)
    result = fit(lessons, vocabulary, settings, report=stage(f"compare {settings.cell}"))
    tokens = torch.from_numpy(lag_rows(np.concatenate(part)))
    seconds = sum(epoch.seconds for epoch in result.history)
    events = sum(epoch.seconds * epoch.events_per_s for epoch in result.history)
    drawn = build(shape, settings.seed)
    return CellFacts(
        cell=settings.cell,
        parameters=count_parameters(result.model),
        held_out_bits=min((epoch.validation_bits for epoch in result.history), default=float("nan")),
        seconds=seconds,
        events_per_s=events / max(seconds, 1e-9),
        drawn=gradient_by_lag(drawn, tokens),
        trained=gradient_by_lag(result.model, tokens),
        recalls=learn_recall(
            shape,
            DISTANCES,
            events=RECALL_EVENTS,
            seed=settings.seed,
            told=_shared(stage(f"recall {settings.cell}"), settings.epochs),
        ),
        held=[(window, extrapolated_bytes(drawn, window, settings.batch)) for window in WINDOWS],
    )


def _shared(report: Report, epochs: int) -> Callable[[float, float], None]:
    """Tell a share of the work as epochs, which progress is counted in."""
    begin_s = time.perf_counter()

    def told(share: float, bits: float) -> None:
        rate = share * RECALL_EVENTS / max(time.perf_counter() - begin_s, 1e-9)
        report(Progress(int(share * epochs), share * epochs % 1, rate, bits))

    return told


def count_parameters(model: SequenceModel) -> int:
    """Numbers that training sets."""
    return sum(parameter.numel() for parameter in model.parameters())


def _part(sequences: Sequence[Stream], *, session: bool) -> list[Stream]:
    """Sequences from all over the data, few enough; of long-lived sources their newest events."""
    every = -(-sum(map(len, sequences)) // MOST_EVENTS)
    chosen = list(sequences[:: max(every, 1)])
    if session:
        return chosen
    most = max(MOST_EVENTS // len(chosen), LAGS + 1)
    return [tokens[-most:] for tokens in chosen]
