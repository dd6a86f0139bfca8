"""Train a second reader of sessions, calibrate it out of fold, and measure what it gains. Reads a clock."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import EndingModel, ReaderCalibration, ReaderModel, SessionCalibration, StepModel
from detector.records import END
from detector.stages.score.again import second_score
from detector.stages.score.ending import total
from training.calibrate.calibrate import (
    KEPT_TOTALS,
    LEAST_SUM,
    EndingParts,
    Measured,
    Tokens,
    fit_tail,
    measure_sessions,
)
from training.export.reader import export_reader
from training.model.corrupted import KINDS, Corrupted, corrupted, known_sessions
from training.model.reader import fit_reader, newest
from training.model.run import Report
from training.model.settings import FitSettings, Progress

READ_SHARE = 0.05  # of the normal sessions, those of the highest first scores, are read again
READ_LEAST = 50  # that a tail of verdicts is read off
LEAST_LOGIT = 0.5  # a tail of verdicts is never steeper than an e-th over this
COPIES = 500  # corrupted sessions of each fold that the gain is measured on


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A fold's sessions [N] as its model sees them, and that model."""

    sessions: list[Tokens]  # what the model never saw is unknown
    places: npt.NDArray[np.int64]  # of each among all sessions
    step: StepModel
    ending: EndingModel
    parts: EndingParts


@dataclass(frozen=True, slots=True)
class Gain:
    """Of held-out normal sessions with one thing wrong: how many alert at the bundle's budget."""

    kind: str
    copies: int
    found: int  # by the first score
    found_with: int  # after they were read again
    pointed: int  # in which most attention went to what is wrong


@dataclass(frozen=True, slots=True)
class Second:
    """What a bundle needs of a second reader, and the calibration that its scores have."""

    graph: bytes
    calibration: ReaderCalibration
    session: SessionCalibration
    held_out: list[float]  # final scores of the held-out normals
    gains: list[Gain]


@dataclass(frozen=True, slots=True)
class _FoldReader:
    """A fold, and the reader that did not see it."""

    fold: HeldOut
    model: ReaderModel


def train_second(
    sessions: Sequence[Tokens],
    folds: Sequence[HeldOut],
    whole: Measured,
    session: SessionCalibration,
    *,
    kept: Sequence[int],
    vocabulary: int,
    hold_bits: float,
    settings: FitSettings,
    threshold: Callable[[SessionCalibration], float],
    stage: Callable[[str], Report],
) -> Second:
    """Train on the `kept` of sessions [N], each fold's verdicts by a reader that did not see it."""
    usable = np.zeros(len(sessions), bool)
    usable[list(kept)] = True

    def reader(name: str, seed: int, chosen: npt.NDArray[np.bool_]) -> bytes:
        taken = [sessions[i] for i in np.flatnonzero(chosen & usable).tolist()]
        return export_reader(fit_reader(taken, vocabulary, seed, report=_shown(stage(name), settings)))

    readers: list[_FoldReader] = []
    for number, fold in enumerate(folds, 1):
        others = np.ones(len(sessions), bool)
        others[fold.places] = False
        name = f"second reader, fold {number} of {len(folds)}"
        readers.append(_FoldReader(fold, ReaderModel(reader(name, settings.seed + number, others))))
    firsts = np.array([total(closed, session) for closed in whole.closed])
    calibration, finals = _calibrated(readers, firsts, usable)
    totals = sorted(finals[usable].tolist(), reverse=True)
    final = msgspec.structs.replace(
        session,
        total=fit_tail(totals, least=LEAST_SUM),
        totals=[round(score, 6) for score in totals[:KEPT_TOTALS]],
    )
    limits = threshold(session), threshold(final)
    rng = np.random.default_rng(settings.seed)
    gains = [
        gain
        for one in readers
        for gain in _gains(one, session, calibration, limits, vocabulary, hold_bits, rng)
    ]
    graph = reader("second reader", settings.seed, usable)
    return Second(graph, calibration, final, finals.tolist(), _summed(gains))


def _shown(report: Report, settings: FitSettings) -> Callable[[float, int, float], None]:
    """Show how far a reader's fit is as if it went over the data as often as the first model's."""
    began = time.perf_counter()

    def show(share: float, events: int, loss_bits: float) -> None:
        fraction, epoch = math.modf(share * settings.epochs)
        rate = events / max(time.perf_counter() - began, 1e-6)
        report(Progress(int(epoch), fraction, rate, loss_bits))

    return show


def _calibrated(
    readers: Sequence[_FoldReader], firsts: npt.NDArray[np.float64], usable: npt.NDArray[np.bool_]
) -> tuple[ReaderCalibration, npt.NDArray[np.float64]]:
    """The bar and the tail of the verdicts above it, and the final scores of all sessions [N]."""
    ordered = np.sort(firsts[usable])[::-1]
    bar = float(ordered[min(max(READ_LEAST, math.ceil(READ_SHARE * len(ordered))), len(ordered)) - 1])
    verdicts = np.full(len(firsts), np.nan)
    for one in readers:
        for place, tokens in zip(one.fold.places.tolist(), one.fold.sessions, strict=True):
            if firsts[place] >= bar:
                verdicts[place], _ = one.model.run(newest(np.append(tokens, END)))
    read = np.flatnonzero(~np.isnan(verdicts))
    tail = fit_tail(verdicts[read[usable[read]]], least=LEAST_LOGIT)
    finals = firsts.copy()
    finals[read] = [second_score(float(firsts[i]), tail.z(float(verdicts[i]))) for i in read.tolist()]
    return ReaderCalibration(bar, tail), finals


def _gains(
    reader: _FoldReader,
    session: SessionCalibration,
    calibration: ReaderCalibration,
    limits: tuple[float, float],
    vocabulary: int,
    hold_bits: float,
    rng: np.random.Generator,
) -> list[Gain]:
    fold, known = reader.fold, known_sessions(reader.fold.sessions)
    chosen = rng.permutation(len(fold.sessions))[:COPIES].tolist()
    made = (corrupted(fold.sessions[i], vocabulary, rng, known) for i in chosen)
    copies = [copy for copy in made if copy is not None]
    tokens = [copy.tokens[:-1] for copy in copies]
    measured = measure_sessions(fold.step, fold.ending, tokens, fold.parts, hold_bits)
    return [
        _gain(copy, total(closed, session), reader.model, calibration, limits)
        for copy, closed in zip(copies, measured.closed, strict=True)
    ]


def _gain(
    copy: Corrupted,
    first: float,
    model: ReaderModel,
    calibration: ReaderCalibration,
    limits: tuple[float, float],
) -> Gain:
    verdict, attention = model.run(newest(copy.tokens))
    z = calibration.verdict.z(verdict)
    final = second_score(first, z) if first >= calibration.bar else first
    pointed = bool(newest(copy.wrong)[attention.argmax()])
    return Gain(copy.kind, 1, first >= limits[0], final >= limits[1], pointed)


def _summed(gains: Sequence[Gain]) -> list[Gain]:
    """The gain for each kind of corruption."""
    of_kind = {kind: [gain for gain in gains if gain.kind == kind] for kind in KINDS}
    return [
        Gain(
            kind,
            len(some),
            sum(gain.found for gain in some),
            sum(gain.found_with for gain in some),
            sum(gain.pointed for gain in some),
        )
        for kind, some in of_kind.items()
        if some
    ]
