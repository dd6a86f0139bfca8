"""Show how far a fit has come, on standard error: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from training.model.settings import Progress as FitProgress

LINE_EVERY_S = 5.0  # where standard error is no terminal
MEGABYTE = 1e6


class Shown:
    """Progress of reading and of every fit; a context manager."""

    def __init__(self, paths: Sequence[str], epochs: int) -> None:
        """`paths` are read twice; compressed ones without a total."""
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description:28}"), BarColumn(), TextColumn("{task.fields[rate]}"))
        self._bars = Progress(
            *columns, TimeRemainingColumn(), console=self._console, disable=not sys.stderr.isatty()
        )
        sizes = [Path(path).stat().st_size for path in paths if path != "-"]
        plain = all(not path.endswith((".gz", ".zst", "-")) for path in paths)
        self._total = sum(sizes) if plain else None
        self._epochs = epochs
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._said_s = time.monotonic()

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()

    def told(self, what: str, size: int) -> None:
        """So many bytes more have been read."""
        rate = self._advance(what, size, self._total)
        self._show(what, f"{rate / MEGABYTE:.1f} MB/s")

    def stage(self, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN201  (a Report)
        """The next fit: gives what takes its progress."""

        def report(progress: FitProgress) -> None:
            done = progress.epoch + progress.fraction
            self._advance(name, done - self._done.get(name, 0.0), self._epochs)
            self._show(
                name,
                f"epoch {progress.epoch + 1}, {progress.events_per_s:,.0f} events/s, "
                f"{progress.loss_bits:.3f} bits",
            )

        return report

    def _advance(self, name: str, size: float, total: float | None) -> float:
        """Move a bar; the rate per second since its beginning."""
        now = time.monotonic()
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, rate="")
            self._began[name] = now
        self._done[name] = self._done.get(name, 0.0) + size
        self._bars.advance(self._tasks[name], size)
        return self._done[name] / max(now - self._began[name], 1e-6)

    def _show(self, name: str, rate: str) -> None:
        self._bars.update(self._tasks[name], rate=rate)
        now = time.monotonic()
        if self._bars.disable and now - self._said_s >= LINE_EVERY_S:
            self._said_s = now
            sys.stderr.write(f"{name}: {self._share(name, now)}{rate}\n")

    def _share(self, name: str, now: float) -> str:
        total = self._bars.tasks[self._tasks[name]].total
        if not total:
            return ""
        share = min(self._done[name] / total, 1.0)
        left = (now - self._began[name]) * (1 - share) / max(share, 1e-6)
        return f"{share:.0%}, {left:.0f} s left, "
