"""Where torch runs, and that it gives the same bits again. Changes torch's own settings for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import torch

from detector.errors import BadSetup
from training.model.settings import Device


@contextmanager
def reproducible(device: Device, threads: int) -> Iterator[torch.device]:
    """Name the device to use, and while on a CPU let torch run only what gives the same bits again."""
    chosen, before = _device(device), torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict or chosen.type == "cpu")
    try:
        yield chosen
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict)


def uses_gpu(name: Device) -> bool:
    """Whether a fit on this device runs on a GPU, which one process fills."""
    return name != "cpu" and torch.cuda.is_available()


def half_precision(device: torch.device) -> bool:
    """Whether training mixes half precision in: on a GPU, which is several times as fast in it."""
    return device.type == "cuda"


def moved(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """The array on the device; to a GPU from pinned memory, so that nothing waits for the copy."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def _device(name: Device) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise BadSetup("--device cuda: no GPU that torch can use; say --device cpu or auto")
    return torch.device("cuda" if uses_gpu(name) else "cpu")
