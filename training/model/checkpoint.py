"""Keep a training run on disk so that it can go on after a crash: tensors and plain values only."""

import hashlib
import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from detector.errors import BadSetup

Identity = Mapping[str, str | int | float]  # what a run's result depends on, by name


def digest(arrays: Iterable[npt.NDArray[np.integer]]) -> str:
    """A fingerprint of the training data, in parts so that mapped arrays stay on disk."""
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(len(array).to_bytes(8, "little"))
        for start in range(0, len(array), 1 << 20):
            sha256.update(array[start : start + (1 << 20)].astype(np.int64).tobytes())
    return sha256.hexdigest()


def save(path: Path, identity: Identity, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one step; a crash leaves the one before."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        torch.save({"identity": dict(identity), "state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path, identity: Identity) -> dict[str, Any]:
    """Read a checkpoint of the same run.

    Raises BadSetup where it cannot be read or belongs to another run, naming what differs.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        saved, state = found["identity"], found["state"]
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise BadSetup(f"{path}: this is no checkpoint; remove it or fit without --resume") from error
    if faults := _differences(saved, identity):
        raise BadSetup(f"{path}: the checkpoint is of another run: {', '.join(faults)}; fit without --resume")
    checked: dict[str, Any] = state
    return checked


def _differences(saved: Identity, wanted: Identity) -> list[str]:
    names = sorted({*saved, *wanted})
    return [
        f"{name} was {saved.get(name)} and is {wanted.get(name)}"
        for name in names
        if saved.get(name) != wanted.get(name)
    ]
