"""Fit the sequence model: lessons in, weights out. Reads and writes its checkpoint, nothing else."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from training.model import checkpoint as checkpoints
from training.model.batches import sized
from training.model.devices import reproducible
from training.model.lessons import Lessons
from training.model.model import SequenceModel
from training.model.run import Clock, Report, Run
from training.model.settings import Epoch, FitSettings, Outcome


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

    The checkpoint is written after every epoch; with `resume` the run goes on from it, and on a CPU
    ends with the bits of a run that was never interrupted. Raises BadSetup where the checkpoint is of
    another run, or where a GPU is asked for and there is none.
    """
    identity = _identity(lessons, vocabulary, settings)
    with reproducible(settings.device, settings.threads) as device:
        lessons, settings = sized(lessons, vocabulary, settings, device)
        run = Run(settings, vocabulary, device)
        if checkpoint and resume and checkpoint.exists():
            run.restore(checkpoints.load(checkpoint, identity))
        while run.outcome is None:
            run.one_epoch(lessons, report, clock)
            if checkpoint:
                checkpoints.save(checkpoint, identity, run.state())
        return FitResult(run.best_model(), run.history, run.outcome)


def _identity(lessons: Lessons, vocabulary: int, settings: FitSettings) -> checkpoints.Identity:
    """Everything that the result depends on; another device or thread count may go on with a run."""
    chosen = {name: value for name, value in asdict(settings).items() if name not in {"device", "threads"}}
    return {**chosen, "vocabulary": vocabulary, "training data": lessons.digest}
