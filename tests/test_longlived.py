"""Training on long-lived sources: fits side by side change nothing but the time."""

import sys
from pathlib import Path

import numpy as np

from detector.records import FIRST_TEMPLATE
from training.calibrate.streams import Stream
from training.longlived import train_streams
from training.model.run import Report
from training.model.settings import FitSettings
from training.sessions import Trained

SEED = 4
SMALL = FitSettings(hidden=8, embedding=4, window=16, batch=8, epochs=1, seed=SEED, device="cpu")


def trained(folder: Path, processes: int, told: set[str]) -> Trained:
    """Three sources in small networks, each line a second after the one before."""
    sys.stdout.write(f"seed {SEED}\n")
    rng = np.random.default_rng(SEED)
    streams = [
        Stream(name, rng.integers(FIRST_TEMPLATE, FIRST_TEMPLATE + 6, size), 1_000_000 * np.arange(size))
        for name, size in (("a", 500), ("b", 300), ("c", 1))
    ]

    def stage(name: str) -> Report:
        return lambda _: told.add(name)

    return train_streams(
        streams,
        FIRST_TEMPLATE + 6,
        SMALL,
        budget=1.0,
        contamination=0.0,
        checkpoints=folder,
        resume=False,
        stage=stage,
        processes=processes,
    )


def test_fits_side_by_side_give_the_same_bundle(tmp_path: Path) -> None:
    """Two processes come to the network and the thresholds of one, and tell of every fit."""
    told: set[str] = set()
    results = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        results.append(trained(folder, processes, told))
        assert told == {"older half", "newer half", "final model"}
        told.clear()
    one, two = results
    assert one.step == two.step
    assert one.calibration == two.calibration
    assert one.held_out == two.held_out
