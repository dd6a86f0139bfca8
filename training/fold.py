"""Both networks for one set of sessions: fitted, and kept in checkpoints. Reads and writes those."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.calibrate.calibrate import EndingParts, Tokens
from training.export.ending import export_ending
from training.export.export import export_step
from training.model import checkpoint as checkpoints
from training.model.counts import Counts, choose_slots, count_events, prototypes
from training.model.ending import ROWS, STEPS, Ending, fit_ending
from training.model.fit import FitResult, fit
from training.model.lessons import session_lessons
from training.model.pairs import known_pairs
from training.model.run import Report
from training.model.settings import FitSettings

PASSES = 100  # over few sessions that the second network makes at most
LEAST_STEPS = 300


@dataclass(frozen=True, slots=True)
class Fold:
    """One model for sessions, with what it was made from."""

    result: FitResult
    step: bytes
    ending: bytes
    parts: EndingParts


def train_fold(
    report: Report,
    *,
    sessions: Sequence[Tokens],
    vocabulary: int,
    settings: FitSettings,
    unknown_cost: float,
    pair_cost: float,
    checkpoint: Path,
    resume: bool,
) -> Fold:
    """Fit both networks, or go on where their checkpoints are; `checkpoint` is that of the first."""
    result = fit(
        session_lessons(sessions, settings),
        vocabulary,
        settings,
        checkpoint=checkpoint,
        resume=resume,
        report=report,
    )
    slots = choose_slots(sessions, vocabulary)
    counts = count_events(sessions, slots)
    ending = _ending(counts, settings.seed, checkpoint.with_suffix(".ending.pt"), resume=resume)
    known = prototypes(counts)
    parts = EndingParts(
        slots=slots,
        idf=known.idf.tolist(),
        prototypes=known.vectors.tolist(),
        unknown_cost=unknown_cost,
        pairs=known_pairs(sessions, vocabulary).tolist(),
        pair_cost=pair_cost,
    )
    return Fold(result, export_step(result.model), export_ending(ending), parts)


def _ending(counts: Counts, seed: int, checkpoint: Path, *, resume: bool) -> Ending:
    steps = min(STEPS, max(LEAST_STEPS, len(counts) * PASSES // ROWS))
    identity: checkpoints.Identity = {
        "seed": seed,
        "steps": steps,
        "training data": checkpoints.digest([counts.reshape(-1)]),
    }
    if resume and checkpoint.exists():
        state = checkpoints.load(checkpoint, identity)
        model = Ending(state["used"])
        model.load_state_dict(state["weights"])
        return model.eval()
    model = fit_ending(counts, seed, steps=steps)
    checkpoints.save(checkpoint, identity, {"used": model.used, "weights": model.state_dict()})
    return model
