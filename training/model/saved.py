"""The trained network beside its bundle, so that it can be exported again: tensors and plain values only."""

import os
import pickle
from dataclasses import asdict
from pathlib import Path

import torch

from detector.errors import BadSetup
from training.model.model import ModelShape, SequenceModel


def save_model(path: Path, model: SequenceModel) -> None:
    """Write weights and shape, replacing the file in one step."""
    part = path.with_name(f"{path.name}.part")
    torch.save({"shape": asdict(model.shape), "weights": model.state_dict()}, part)
    os.replace(part, path)  # noqa: PTH105  (atomic, and named so)


def load_model(path: Path) -> SequenceModel:
    """Read what `save_model` wrote.

    Raises:
        BadSetup: the file is not there or is something else.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model = SequenceModel(ModelShape(**saved["shape"]))
        model.load_state_dict(saved["weights"])
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise BadSetup(f"{path}: no saved network; fit the bundle again") from error
    return model.eval()
