"""Fit a bundle with the product's own training, or take the one that an earlier run left. Writes files."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from detector.bundle import InputSettings
from detector.shard.reader import Bounds
from training.benchmark.cost import Spent, Stopwatch
from training.benchmark.detectors.held_out import keep_held_out
from training.benchmark.digests import files_digest, product_code, text_digest
from training.made import Order
from training.make import make
from training.model.settings import Cell, Device, FitSettings

FITTED = "fitted.json"  # beside the bundle's own files: what it was made of, and how long that took


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a bundle is fitted."""

    cell: Cell
    seed: int
    contamination: float
    budget: float | None
    epochs: int
    hidden: int
    device: Device
    processes: int
    second_reader: bool = False


class _Note(msgspec.Struct):
    made_of: str
    wall_s: float
    cpu_s: float


def fitted(paths: list[str], settings: InputSettings, out: Path, fitting: Fitting) -> Spent:
    """Make a bundle in `out` unless the same one is there, and say what making it took."""
    made_of = _made_of(paths, settings, fitting)
    note = out / FITTED
    if note.exists() and (kept := msgspec.json.decode(note.read_bytes(), type=_Note)).made_of == made_of:
        return Spent(kept.wall_s, kept.cpu_s)
    note.unlink(missing_ok=True)
    watch = Stopwatch()
    order = _order(paths, settings, out, fitting)
    made = make(order, _silent, lambda _: lambda _: None, lambda: datetime.now(UTC))
    spent = watch.spent()
    if made.trained.measured is not None:
        keep_held_out(out, made.trained.measured)
    note.write_bytes(msgspec.json.encode(_Note(made_of, spent.wall_s, spent.cpu_s)))
    return spent


def _order(paths: list[str], settings: InputSettings, out: Path, fitting: Fitting) -> Order:
    return Order(
        paths=paths,
        out=out,
        input=settings,
        model=FitSettings(
            cell=fitting.cell,
            seed=fitting.seed,
            epochs=fitting.epochs,
            hidden=fitting.hidden,
            device=fitting.device,
        ),
        budget=fitting.budget,
        contamination=fitting.contamination,
        resume=False,
        bounds=Bounds(),
        processes=fitting.processes,
        second_reader=fitting.second_reader,
    )


def _made_of(paths: list[str], settings: InputSettings, fitting: Fitting) -> str:
    how = {name: value for name, value in asdict(fitting).items() if name not in {"processes", "device"}}
    data = files_digest(Path(path) for path in paths)
    return text_digest(
        f"{product_code()} {data} {msgspec.json.encode(settings).decode()} {sorted(how.items())}"
    )


def _silent(_what: str, _size: int) -> None:
    """Nobody watches."""
