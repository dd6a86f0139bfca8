"""A GPU's batch: doubled while that is faster and fits. Mixed precision learns what full precision does."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from training.model.batches import doubled, fastest_rows, speed, with_rows
from training.model.fit import fit
from training.model.lessons import Lessons, session_lessons, stream_lessons
from training.model.settings import FitSettings

SMALL = FitSettings(hidden=12, embedding=4, window=16, batch=8, epochs=8, seed=1, device="cpu")
CPU = torch.device("cpu")


class Fake:
    """A device whose speed grows with the rows up to `full_at` and whose memory ends after `fits`."""

    def __init__(self, full_at: int, fits: int) -> None:
        """Nothing is asked yet."""
        self.full_at, self.fits = full_at, fits
        self.asked: list[int] = []

    def __call__(self, rows: int) -> float | None:
        """Events a second, or None where memory is too small."""
        self.asked.append(rows)
        return None if rows > self.fits else 1e5 * min(rows, self.full_at)


@pytest.mark.parametrize(
    ("full_at", "fits", "most", "rows"),
    [
        (1024, 10**9, 10**9, 1024),  # no faster with more
        (10**9, 700, 10**9, 512),  # no room for more
        (10**9, 10**9, 300, 256),  # too few steps with more
        (10**9, 10, 10**9, 64),  # not even the first fits: the fit itself says so
        (66, 10**9, 10**9, 64),  # three percent are not worth it
    ],
)
def test_rows_double_while_it_is_faster_and_fits(full_at: int, fits: int, most: int, rows: int) -> None:
    """Speed, memory and the number of steps each end it; nothing beyond the first failure is tried."""
    fake = Fake(full_at, fits)
    assert doubled(fake, 64, most) == rows
    assert fake.asked == [64 << at for at in range(len(fake.asked))]
    assert fake.asked[-1] <= min(2 * rows, most)


def test_a_cpu_keeps_what_was_asked_for() -> None:
    """The batch that the settings name fixes the bits of a fit on a CPU."""
    lessons = stream_lessons([np.tile(np.array([2, 3, 4]), 500)], SMALL)
    rows = fastest_rows(lessons, 8, SMALL, CPU)
    assert with_rows(lessons, SMALL, rows) == (lessons, SMALL)


@pytest.mark.parametrize("make", [session_lessons, stream_lessons])
def test_lessons_take_any_number_of_rows(
    make: Callable[[list[npt.NDArray[np.int64]], FitSettings], Lessons],
) -> None:
    """More rows hold the same events of validation in fewer windows."""
    lessons = make([np.tile(np.arange(2, 7), 400)] * 160, SMALL)
    few, many = list(lessons.validation()), list(lessons.resized(16).validation())
    assert len(many) < len(few)
    assert sum(w.weights.sum() for w in few) == pytest.approx(sum(w.weights.sum() for w in many), rel=0.02)
    assert lessons.resized(16).digest == lessons.digest


def test_speed_is_measured_by_steps_and_none_says_that_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that ends in want of memory is no error of the fit: fewer rows are taken."""
    lessons = stream_lessons([np.tile(np.array([2, 3, 4]), 5_000)], SMALL)
    assert (speed(lessons, 8, SMALL, CPU, 16) or 0) > 0

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("training.model.batches.losses", full)
    assert speed(lessons, 8, SMALL, CPU, 16) is None


def test_mixed_precision_learns_what_full_precision_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision with scaled gradients ends about where single precision does."""
    lessons = stream_lessons([np.tile(np.array([2, 3, 2, 4, 5]), 800)], SMALL)
    whole = fit(lessons, 8, SMALL)
    monkeypatch.setattr("training.model.run.half_precision", lambda _: True)
    half = fit(lessons, 8, SMALL)
    assert half.history[-1].validation_bits == pytest.approx(whole.history[-1].validation_bits, abs=0.05)
    assert half.history != whole.history
    assert half.model.output.weight.dtype == torch.float32
