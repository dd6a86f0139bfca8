"""Train on sessions: four folds for calibration, one final fit. Reads and writes checkpoints."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace as replaced

from detector.bundle import Calibration, EndingModel, Pauses, SessionCalibration, StepModel, Tail
from detector.records import UNKNOWN
from detector.stages.judge.budget import score_threshold
from detector.stages.score.ending import total
from training.beside import beside
from training.calibrate.calibrate import (
    EndingParts,
    Measured,
    Tokens,
    calibrate_sessions,
    fit_tail,
    measure_sessions,
)
from training.fold import Fold, train_fold
from training.model.fit import FitResult
from training.model.pairs import new_pair_cost
from training.model.run import Report
from training.model.settings import FitSettings
from training.reading import HeldOut, Second, train_second

FOLDS = 4
LEAST_SESSIONS = 50
MOST_SESSIONS = 50_000  # a sample of more teaches no more, and calibrates a budget of 1 in 10,000
HOLD_Z = 3.0  # the rarest thousandth of events does not enter the hidden state
WORST_Z = 2.3  # the rarest two hundredth is kept as a session's evidence

FINAL = "final model"

Indices = npt.NDArray[np.int64]
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
    second: Second | None = None  # the second reader, where one was asked for
    measured: Measured | None = None  # the held-out sessions, of which the calibration was made


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
    pauses: Pauses,
    processes: int = 1,
    second_reader: bool = False,
) -> Trained:
    """Fit and calibrate for sessions [N], each an array of tokens without the end.

    With more than one process the fits run side by side, and give the same bits.
    """
    folds = [np.arange(k, len(sessions), FOLDS) for k in range(FOLDS)]
    cost, new = unknown_cost(sessions, folds)
    pair_cost = new_pair_cost(sessions, folds, vocabulary)

    def job(name: str, seed: int, chosen: Iterable[int], *, resume: bool) -> partial[Fold]:
        return partial(
            train_fold,
            sessions=[sessions[i] for i in chosen],
            vocabulary=vocabulary,
            settings=replace(settings, seed=seed),
            unknown_cost=cost,
            pair_cost=pair_cost,
            checkpoint=checkpoints / f"{name}.pt",
            resume=resume,
        )

    rest = [np.setdiff1d(np.arange(len(sessions)), held).tolist() for held in folds]
    plan = [(f"fold {k + 1} of {FOLDS}", settings.seed + k + 1, rest[k]) for k in range(FOLDS)]
    final_plan = (FINAL, settings.seed, range(len(sessions)))
    if processes > 1:
        ahead = [*plan, final_plan] if contamination <= 0 else plan
        jobs = {name: job(name, seed, chosen, resume=resume) for name, seed, chosen in ahead}
        beside(jobs, processes, stage)
        resume = True  # what they left is taken from their checkpoints
    held_out = [
        _held_out(sessions, held, job(*one, resume=resume)(stage(one[0])))
        for held, one in zip(folds, plan, strict=True)
    ]
    whole, hold_bits, parts = _out_of_fold(held_out)
    kept = _kept(whole, parts, contamination)
    final = job(FINAL, settings.seed, kept, resume=resume)(stage(FINAL))
    session = calibrate_sessions(whole, final.parts, contamination)
    session = replaced(session, pauses=pauses)
    trained = Trained(
        calibration=_calibration(whole, session, budget, days, hold_bits, new),
        step=final.step,
        ending=final.ending,
        final=final.result,
        held_out=[total(closed, session) for closed in whole.closed],
        kept=kept,
        measured=whole,
    )
    if not second_reader:
        return trained
    second = train_second(
        sessions,
        held_out,
        whole,
        session,
        kept=kept,
        vocabulary=vocabulary,
        hold_bits=hold_bits,
        settings=settings,
        threshold=lambda one: score_threshold(replaced(trained.calibration, session=one), budget),
        stage=stage,
    )
    return replace(
        trained,
        calibration=replaced(trained.calibration, session=second.session),
        held_out=second.held_out,
        second=second,
    )


def _held_out(sessions: Sequence[Tokens], held: Indices, fold: Fold) -> HeldOut:
    """The sessions of a fold for the model of the others; what is unknown to it is unknown here too."""
    rest = np.setdiff1d(np.arange(len(sessions)), held)
    known = np.unique(np.concatenate([sessions[i] for i in rest.tolist()]))
    unseen = [np.where(np.isin(sessions[i], known), sessions[i], UNKNOWN) for i in held.tolist()]
    return HeldOut(unseen, held, StepModel(fold.step), EndingModel(fold.ending), fold.parts)


def _out_of_fold(folds: Sequence[HeldOut]) -> tuple[Measured, float, EndingParts]:
    """Measure every session by the model of the other folds."""
    first = folds[0]
    events = measure_sessions(first.step, first.ending, first.sessions, first.parts, math.inf).events
    hold_bits = fit_tail(events).value(HOLD_Z)
    measured = [
        measure_sessions(fold.step, fold.ending, fold.sessions, fold.parts, hold_bits) for fold in folds
    ]
    order = np.argsort(np.concatenate([fold.places for fold in folds]), kind="stable")
    return _joined(measured, order), hold_bits, folds[-1].parts


def unknown_cost(sessions: Sequence[Tokens], folds: Sequence[Indices]) -> tuple[float, int]:
    """Nats that an unknown event costs, from how often a fold holds an event that the others lack."""
    present = [np.unique(np.concatenate([sessions[i] for i in fold])) for fold in folds]
    new = 0
    for k, fold in enumerate(folds):
        others = np.unique(np.concatenate([tokens for j, tokens in enumerate(present) if j != k]))
        new += sum(int((~np.isin(sessions[i], others)).sum()) for i in fold)
    events = sum(map(len, sessions))
    return -math.log((new + 0.5) / (events + 1)), new


def _joined(measured: Sequence[Measured], order: Indices) -> Measured:
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
        session=session,
    )


def sample(count: int, seed: int) -> Indices:
    """Which sessions are used, in order: all, or a random sample where there are very many."""
    if count <= MOST_SESSIONS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_SESSIONS, replace=False))
