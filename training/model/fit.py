"""Fit the sequence model: lessons in, weights out. Reads and writes its checkpoint, nothing else."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from training.model import checkpoint as checkpoints
from training.model.batches import fastest_rows, with_rows
from training.model.devices import reproducible
from training.model.lessons import Lessons
from training.model.model import SequenceModel
from training.model.run import Clock, Report, Run
from training.model.settings import Epoch, FitSettings, Outcome

FORMAT = 2  # of what `Run.state` holds


@dataclass(frozen=True, slots=True)
class FitResult:
    """The weights of the best epoch, on the CPU, and how they came about.

    A run that diverged keeps its best epoch too; where it diverged in its first, `history` is empty
    and the weights are the untrained ones.
    """

    model: SequenceModel
    history: list[Epoch]
    outcome: Outcome


def fit(
    lessons: Lessons,
    vocabulary: int,
    settings: FitSettings,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    report: Report = lambda _: None,
    clock: Clock = time.perf_counter,
) -> FitResult:
    """Train until the epochs are over, validation stops improving, or the run diverges.

    The checkpoint is written after every epoch. With `resume` the run goes on from it, with the batch that
    it began with, and on a CPU ends with the bits of a run that was never interrupted. Raises BadSetup
    where the checkpoint is of another run, or where a GPU is asked for and there is none.
    """
    identity = identity_of(lessons, vocabulary, settings)
    with reproducible(settings.device, settings.threads) as device:
        goes_on = checkpoint is not None and resume and checkpoint.exists()
        saved = checkpoints.load(checkpoint, identity) if checkpoint and goes_on else None
        rows = saved["rows"] if saved else fastest_rows(lessons, vocabulary, settings, device)
        lessons, settings = with_rows(lessons, settings, rows)
        run = Run(settings, vocabulary, device)
        if saved:
            run.restore(saved)
        while run.outcome is None:
            run.one_epoch(lessons, report, clock)
            if checkpoint:
                checkpoints.save(checkpoint, identity, run.state())
        return FitResult(run.best_model(), run.history, run.outcome)


def identity_of(lessons: Lessons, vocabulary: int, settings: FitSettings) -> checkpoints.Identity:
    """Everything that the result depends on; another device or thread count may go on with a run."""
    chosen = {name: value for name, value in asdict(settings).items() if name not in {"device", "threads"}}
    return {**chosen, "vocabulary": vocabulary, "training data": lessons.digest, "checkpoint format": FORMAT}
