"""How many rows a GPU trains side by side: doubled while that is faster and fits. Runs steps on trial."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import torch

from training.model.lessons import Lessons
from training.model.run import Run, losses
from training.model.settings import FitSettings

WORTHWHILE = 1.1  # times the events a second, from which twice the rows are worth it
LEAST_STEPS = 100  # of an epoch: fewer and larger ones learn less from the same data
TRIED = 4  # windows that are timed, after one that warms up

Speed = Callable[[int], float | None]  # events a second with so many rows; None where memory is too small


def fastest_rows(lessons: Lessons, vocabulary: int, settings: FitSettings, device: torch.device) -> int:
    """Rows for a device: those of the settings on a CPU, on a GPU as many as are worth it."""
    if device.type != "cuda":
        return settings.batch
    most = max(lessons.events // (LEAST_STEPS * settings.window), settings.batch)
    return doubled(lambda rows: speed(lessons, vocabulary, settings, device, rows), settings.batch, most)


def with_rows(lessons: Lessons, settings: FitSettings, rows: int) -> tuple[Lessons, FitSettings]:
    """Lessons and settings with so many rows.

    The learning rate of Adam grows with the root of the rows (Malladi et al. 2022, "On the SDEs and
    scaling rules for adaptive gradient algorithms").
    """
    if rows == settings.batch:
        return lessons, settings
    rate = settings.learning_rate * math.sqrt(rows / settings.batch)
    return lessons.resized(rows), replace(settings, batch=rows, learning_rate=rate)


def doubled(speed: Speed, rows: int, most: int) -> int:
    """Double the rows up to `most` as long as that fits and is clearly faster."""
    fastest = speed(rows)
    while fastest is not None and 2 * rows <= most:
        faster = speed(2 * rows)
        if faster is None or faster < WORTHWHILE * fastest:
            break
        rows, fastest = 2 * rows, faster
    return rows


def speed(
    lessons: Lessons, vocabulary: int, settings: FitSettings, device: torch.device, rows: int
) -> float | None:
    """Events a second of a few steps of a throw-away network; None where the memory is too small."""
    try:
        run = Run(settings, vocabulary, device)
        windows = islice(lessons.resized(rows).training(0), 1 + TRIED)
        began_s, events = 0.0, 0.0
        for step, (nats, weight) in enumerate(losses(run.model, windows)):
            run.learn(nats / max(weight, 1.0))
            if step:
                events += weight
            else:
                began_s = time.perf_counter()
        return events / max(time.perf_counter() - began_s, 1e-9)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
