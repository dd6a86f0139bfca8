"""Train on sessions: four folds for calibration, one final fit. Reads and writes checkpoints."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from detector.bundle import Calibration, EndingModel, SessionCalibration, StepModel, Tail
from detector.records import UNKNOWN
from detector.stages.ending import total
from training.calibrate import EndingParts, Measured, Tokens, calibrate_sessions, fit_tail, measure_sessions
from training.counts import choose_slots, count_events, prototypes
from training.ending import fit_ending
from training.export import export_step
from training.export_ending import export_ending
from training.fit import FitResult, fit
from training.lessons import session_lessons
from training.run import Report
from training.settings import FitSettings

FOLDS = 4
LEAST_SESSIONS = 50
MOST_SESSIONS = 50_000  # a sample of more teaches no more, and calibrates a budget of 1 in 10,000
HOLD_Z = 3.0  # the rarest thousandth of events does not enter the hidden state
WORST_Z = 2.3  # the rarest two hundredth is kept as a session's evidence

Stage = Callable[[str], Report]  # names the next fit and gives its progress


@dataclass(frozen=True, slots=True)
class Trained:
    """Everything that a bundle needs of training."""

    calibration: Calibration
    step: bytes
    ending: bytes | None
    final: FitResult
    held_out: list[float]  # scores of held-out normals, for the report
    kept: list[int]  # of the sequences given, those that trained the final model


@dataclass(frozen=True, slots=True)
class _Fold:
    """One model for sessions, with what it was made from."""

    result: FitResult
    step: bytes
    ending: bytes
    parts: EndingParts


def train_sessions(
    sessions: Sequence[Tokens],
    vocabulary: int,
    settings: FitSettings,
    *,
    budget: float,
    days: float,
    contamination: float,
    checkpoints: Path,
    resume: bool,
    stage: Stage,
) -> Trained:
    """Fit and calibrate for sessions [N], each an array of tokens without the end."""

    def train(name: str, chosen: Sequence[Tokens], cost: float, seed: int) -> _Fold:
        return _train(
            chosen,
            vocabulary,
            replace(settings, seed=seed),
            cost,
            checkpoints / f"{name}.pt",
            resume=resume,
            report=stage(name),
        )

    folds = [np.arange(k, len(sessions), FOLDS) for k in range(FOLDS)]
    cost, new = unknown_cost(sessions, folds)
    measured: list[Measured] = []
    surprise, hold_bits = fit_tail([]), math.inf
    for k, held in enumerate(folds):
        rest = np.setdiff1d(np.arange(len(sessions)), held)
        fold = train(
            f"fold {k + 1} of {FOLDS}", [sessions[i] for i in rest.tolist()], cost, settings.seed + k + 1
        )
        known = np.unique(np.concatenate([sessions[i] for i in rest.tolist()]))
        unseen = [np.where(np.isin(sessions[i], known), sessions[i], UNKNOWN) for i in held.tolist()]
        step, ending = StepModel(fold.step), EndingModel(fold.ending)
        if k == 0:
            surprise = fit_tail(measure_sessions(step, ending, unseen, fold.parts, math.inf).events)
            hold_bits = surprise.value(HOLD_Z)
        measured.append(measure_sessions(step, ending, unseen, fold.parts, hold_bits))
    order = np.argsort(np.concatenate(folds), kind="stable")
    whole = _joined(measured, order)
    kept = _kept(whole, fold.parts, contamination)
    final = train("final model", [sessions[i] for i in kept], cost, settings.seed)
    session = calibrate_sessions(whole, final.parts, contamination)
    return Trained(
        calibration=_calibration(whole, session, budget, days, hold_bits, new),
        step=final.step,
        ending=final.ending,
        final=final.result,
        held_out=[total(closed, session) for closed in whole.closed],
        kept=kept,
    )


def unknown_cost(sessions: Sequence[Tokens], folds: Sequence[np.ndarray]) -> tuple[float, int]:
    """Nats that an unknown event costs, from how often a fold holds an event that the others lack."""
    present = [np.unique(np.concatenate([sessions[i] for i in fold])) for fold in folds]
    new = 0
    for k, fold in enumerate(folds):
        others = np.unique(np.concatenate([tokens for j, tokens in enumerate(present) if j != k]))
        new += sum(int((~np.isin(sessions[i], others)).sum()) for i in fold)
    events = sum(map(len, sessions))
    return -math.log((new + 0.5) / (events + 1)), new


def _train(
    sessions: Sequence[Tokens],
    vocabulary: int,
    settings: FitSettings,
    cost: float,
    checkpoint: Path,
    *,
    resume: bool,
    report: Report,
) -> _Fold:
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
    known = prototypes(counts)
    parts = EndingParts(slots, known.idf.tolist(), known.vectors.tolist(), cost)
    ending = fit_ending(counts, settings.seed)
    return _Fold(result, export_step(result.model), export_ending(ending), parts)


def _joined(measured: Sequence[Measured], order: np.ndarray) -> Measured:
    closed = [one for fold in measured for one in fold.closed]
    return Measured(
        closed=[closed[i] for i in order.tolist()],
        largest=np.concatenate([fold.largest for fold in measured])[order],
        end=np.concatenate([fold.end for fold in measured])[order],
        events=np.concatenate([fold.events for fold in measured]),
    )


def _kept(whole: Measured, parts: EndingParts, contamination: float) -> list[int]:
    """The sessions that are left when the declared share of strangest ones is dropped, in their order."""
    if contamination <= 0:
        return list(range(len(whole.closed)))
    tails = calibrate_sessions(whole, parts)
    sums = np.array([total(closed, tails) for closed in whole.closed])
    keep = len(sums) - math.floor(contamination * len(sums))
    return sorted(np.argsort(sums, kind="stable")[:keep].tolist())


def _calibration(
    whole: Measured, session: SessionCalibration, budget: float, days: float, hold_bits: float, new: int
) -> Calibration:
    surprise: Tail = fit_tail(whole.events)
    return Calibration(
        budget=budget,
        days=days,
        hold_bits=hold_bits,
        worst_bits=surprise.value(WORST_Z),
        surprise=surprise,
        new_templates=new,
        new_template_alerts=True,
        session=msgspec.structs.replace(session),
    )


def sample(count: int, seed: int) -> np.ndarray:
    """Which sessions are used, in order: all, or a random sample where there are very many."""
    if count <= MOST_SESSIONS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_SESSIONS, replace=False))
