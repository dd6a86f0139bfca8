"""Train on long-lived sources: each half calibrates the model of the other. Reads and writes checkpoints."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from detector.bundle import Calibration, StepModel, StreamCalibration
from detector.records import UNKNOWN
from detector.stages.judge.stream import WARM_EVENTS
from training.beside import beside
from training.calibrate.calibrate import Tokens, Values, fit_tail
from training.calibrate.news import new_messages, new_templates
from training.calibrate.order import calibrate_order, within_episodes
from training.calibrate.streams import (
    Stream,
    block_maxima,
    days_of,
    episode_counts,
    fit_maxima,
    halves,
    silence,
    surprise_of,
)
from training.export.export import export_step
from training.model.fit import FitResult, fit
from training.model.lessons import stream_lessons
from training.model.run import Report
from training.model.settings import FitSettings
from training.sessions import FINAL, HOLD_Z, WORST_Z, Stage, Trained

LEAST_HOLD_BITS = 6.0  # a model that is never surprised must still find its place in a stream
MOST_HELD_OUT = 2_000_000  # events that calibrate

OLDER, NEWER = "older half", "newer half"


def train_streams(
    streams: Sequence[Stream],
    vocabulary: int,
    settings: FitSettings,
    *,
    budget: float,
    contamination: float,
    checkpoints: Path,
    resume: bool,
    stage: Stage,
    processes: int = 1,
) -> Trained:
    """Fit on everything, and calibrate on each half with a model of the other.

    With more than one process the fits run side by side, and give the same bits.
    """
    parts = [halves(stream) for stream in streams]
    older, newer = [old for old, _ in parts], [new for _, new in parts if len(new.tokens)]
    plan = {
        OLDER: (older, settings.seed + 1),
        NEWER: (newer, settings.seed + 2),
        FINAL: (streams, settings.seed),
    }
    jobs = {
        name: partial(
            fit_streams,
            sessions=[stream.tokens for stream in chosen],
            vocabulary=vocabulary,
            settings=replace(settings, seed=seed),
            checkpoint=checkpoints / f"{name}.pt",
        )
        for name, (chosen, seed) in plan.items()
    }
    if processes > 1:
        filled = {name: partial(jobs[name], resume=resume) for name, (chosen, _) in plan.items() if chosen}
        beside(filled, processes, stage)
        resume = True  # what they left is taken from their checkpoints
    of_older, of_newer, result = (job(stage(name), resume=resume) for name, job in jobs.items())
    folds = [
        (export_step(of_older.model), older, _bounded(newer)),
        (export_step(of_newer.model), newer, _bounded(older)),
    ]
    calibration, maxima = _calibrate(folds, streams, vocabulary, budget, contamination)
    return Trained(calibration, export_step(result.model), None, result, maxima, list(range(len(streams))))


def fit_streams(
    report: Report,
    *,
    sessions: Sequence[Tokens],
    vocabulary: int,
    settings: FitSettings,
    checkpoint: Path,
    resume: bool,
) -> FitResult:
    """Fit on the tokens of long-lived sources, or go on where the checkpoint is."""
    lessons = stream_lessons(sessions, settings)
    return fit(lessons, vocabulary, settings, checkpoint=checkpoint, resume=resume, report=report)


def _calibrate(
    folds: Sequence[tuple[bytes, Sequence[Stream], list[Stream]]],
    streams: Sequence[Stream],
    vocabulary: int,
    budget: float,
    contamination: float,
) -> tuple[Calibration, list[float]]:
    bits: list[Values] = []
    everyday: list[Values] = []
    maxima: list[float] = []
    quiet = silence(streams)
    for step, chosen, held in folds:
        stream = _uncalibrated(chosen, vocabulary, quiet)
        model = StepModel(step)
        for one in held:
            of_events = surprise_of(model, one, math.inf)
            bits.append(of_events[WARM_EVENTS:])
            everyday.append(of_events[within_episodes(one, stream.counts)])
            maxima += block_maxima(one, of_events, stream)
    surprise = fit_tail(np.concatenate([*bits, np.empty(0)]))
    held_out = [one for _, _, held in folds for one in held]
    days = days_of(held_out)
    older, newer = folds[0][1], folds[1][1]
    final = msgspec.structs.replace(
        calibrate_order(everyday, _uncalibrated(streams, vocabulary, quiet), contamination),
        maxima=fit_maxima(np.array(maxima), contamination),
        blocks=len(maxima),
        events=sum(len(one.tokens) for one in held_out),
        news=new_messages(older, newer, budget),
    )
    new = new_templates(older, newer)
    final.counts[UNKNOWN] = 2.0 * new / len(streams)  # of both halves
    calibration = Calibration(
        budget=budget,
        days=days,
        hold_bits=max(LEAST_HOLD_BITS, surprise.value(HOLD_Z)),
        worst_bits=surprise.value(WORST_Z),
        surprise=surprise,
        new_templates=new,
        new_template_alerts=True,
        stream=final,
    )
    return calibration, maxima


def _uncalibrated(streams: Sequence[Stream], vocabulary: int, quiet: tuple[int, float]) -> StreamCalibration:
    counts, mean = episode_counts(streams, vocabulary)
    return StreamCalibration(
        counts=counts,
        rarity_mean=mean,
        order_mean=0.0,
        order_slack=0.0,
        order_bits=math.inf,
        maxima=fit_tail([]),
        blocks=0,
        events=0,
        news=None,
        sources=len(streams),
        silence_gap_us=quiet[0],
        silence_factor=quiet[1],
    )


def _bounded(streams: list[Stream]) -> list[Stream]:
    """Streams until there is enough to calibrate with."""
    sizes = np.cumsum([len(stream.tokens) for stream in streams])
    return streams[: int(np.searchsorted(sizes, MOST_HELD_OUT)) + 1]
