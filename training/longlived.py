"""Train on long-lived sources: the newest part of every stream calibrates. Reads and writes checkpoints."""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from detector.bundle import Calibration, StepModel, StreamCalibration
from detector.records import UNKNOWN
from detector.stages.stream import WARM_EVENTS
from training.calibrate import fit_tail
from training.calibrate_streams import (
    Stream,
    days_of,
    episode_counts,
    fit_peaks,
    judge_held_out,
    silence_factor,
    split,
    surprise_of,
)
from training.export import export_step
from training.fit import fit
from training.lessons import stream_lessons
from training.sessions import HOLD_Z, WORST_Z, Stage, Trained
from training.settings import FitSettings

NEW_TEMPLATES_NORMAL = 3  # so many in the held-out part show that new messages are normal here
MOST_HELD_OUT = 2_000_000  # events that calibrate


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
) -> Trained:
    """Fit and calibrate for long-lived sources."""
    parts = [split(stream) for stream in streams]
    older, newer = [old for old, _ in parts], _bounded([new for _, new in parts if len(new.tokens)])
    result = fit(
        stream_lessons([stream.tokens for stream in older], settings),
        vocabulary,
        settings,
        checkpoint=checkpoints / "final model.pt",
        resume=resume,
        report=stage("model"),
    )
    step = export_step(result.model)
    first, held_out = _calibrate(StepModel(step), streams, older, newer, vocabulary, budget, contamination)
    return Trained(first, step, None, result, held_out, list(range(len(streams))))


def _calibrate(
    step: StepModel,
    streams: Sequence[Stream],
    older: Sequence[Stream],
    newer: Sequence[Stream],
    vocabulary: int,
    budget: float,
    contamination: float,
) -> tuple[Calibration, list[float]]:
    bits = np.concatenate(
        [surprise_of(step, stream, math.inf)[WARM_EVENTS:] for stream in newer] or [np.empty(0)]
    )
    surprise = fit_tail(bits)
    counts, mean = episode_counts(older, vocabulary)
    stream = StreamCalibration(
        counts=counts,
        rarity_mean=mean,
        peaks=fit_tail([]),
        excursions=0,
        events=sum(len(s.tokens) for s in newer),
        silence_factor=silence_factor(streams),
    )
    days, new = days_of(newer), _new_templates(older, newer)
    calibration = Calibration(
        budget=budget,
        days=days,
        hold_bits=surprise.value(HOLD_Z),
        worst_bits=surprise.value(WORST_Z),
        surprise=surprise,
        new_templates=new,
        new_template_alerts=new < NEW_TEMPLATES_NORMAL or (days > 0 and new / days <= budget),
        stream=stream,
    )
    held = judge_held_out(step, newer, calibration, stream)
    all_counts, _ = episode_counts(streams, vocabulary)
    final = msgspec.structs.replace(
        stream, counts=all_counts, peaks=fit_peaks(held.peaks, contamination), excursions=len(held.peaks)
    )
    return msgspec.structs.replace(calibration, stream=final), held.peaks.tolist()


def _new_templates(older: Sequence[Stream], newer: Sequence[Stream]) -> int:
    """Templates that only the held-out part has."""
    before = np.unique(np.concatenate([stream.tokens for stream in older]))
    after = np.unique(np.concatenate([stream.tokens for stream in newer] or [np.empty(0, np.int64)]))
    return int((~np.isin(after, [*before, UNKNOWN])).sum())


def _bounded(streams: list[Stream]) -> list[Stream]:
    """Streams until there is enough to calibrate with."""
    sizes = np.cumsum([len(stream.tokens) for stream in streams])
    return streams[: int(np.searchsorted(sizes, MOST_HELD_OUT)) + 1]
