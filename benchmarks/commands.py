"""Run the product's own commands and read what they wrote, for benchmarks of the whole path."""

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from detector.shard.core import Core, Rules, build


def train(*arguments: str | Path) -> None:
    """Run `tailrace-train`; its progress stays on standard error."""
    _run("training.cli", arguments)


def replay(inputs: Sequence[Path], bundle: Path, scores: Path, *options: str) -> dict[str, float]:
    """Run `tailrace replay` and give the score of every closed source; of several lives the highest."""
    _run(
        "detector.cli",
        ["replay", *inputs, "--bundle", bundle, "--scores", scores, "--format", "json", *options],
    )
    found: dict[str, float] = {}
    with scores.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            score = float(row["score"])
            found[row["source"]] = max(score, found.get(row["source"], score))
    return found


def _run(package: str, arguments: Sequence[str | Path]) -> None:
    command = [sys.executable, "-m", f"{package}.__main__", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def core_of_bundle(bundle: Path) -> Core:
    """The core that a bundle makes, to read lines as it does."""
    return build(bundle, {}, Rules(), [])
