"""HDFS_v1 as raw lines: fit on normal blocks of the first half of the log, find the anomalies of the rest.

`python -m benchmarks.hdfs --data FOLDER` reads FOLDER/hdfs/hdfs.log (also .gz or .zst) and
FOLDER/hdfs/labels.csv, rows of `block,Normal|Anomaly`. The log is public as HDFS_v1 of loghub (Zenodo
record "Loghub: HDFS_v1"), whose anomaly_label.csv is the labels; any part that holds whole blocks in
the order of time will do. The real commands run: `tailrace-train fit` on the lines of the normal blocks
that end in the first half, `tailrace replay` on the lines of all other blocks. One JSON object for each
detector, with the simple ones on the same split, their thresholds from the same training blocks.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import core_of_bundle, replay, train
from detector.inputs.read import read
from detector.stages.judge.budget import score_threshold
from training.evaluate.evaluate import OURS, Judged, baselines, judged, read_labels, result, token_sessions

BLOCK = re.compile(rb"blk_-?\d+")
OPTIONS = ("--session", "--source-regex", r"blk_-?\d+")
BUDGETS = (2.0, 5.0, 10.0)  # false alerts per 10,000 sessions


def main() -> None:
    """Print one line for each budget and detector."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds hdfs")
    arguments.add_argument(
        "--half", choices=("time", "lines"), default="lines", help="what the first half is half of"
    )
    given = arguments.parse_args()
    folder = given.data / "hdfs"
    [log] = sorted(str(path) for path in folder.glob("hdfs.log*"))
    labels = read_labels(folder / "labels.csv")
    with tempfile.TemporaryDirectory() as work:
        known, rest, bundle = Path(work) / "known.log", Path(work) / "rest.log", Path(work) / "bundle"
        chosen = _ended_normal(log, labels, by_time=given.half == "time")
        _write(log, known, lambda block: block in chosen)
        _write(log, rest, lambda block: block not in chosen)
        train("fit", known, *OPTIONS, "--out", bundle)
        scores = replay([rest], bundle, Path(work) / "scores.csv", *OPTIONS)
        for budget, one in _compared(known, rest, bundle, labels, scores):
            row = {"budget": budget, "trained_on": len(chosen), **result(one).plain()}
            print(json.dumps({key: value for key, value in row.items() if value is not None}))


def _compared(
    known: Path, rest: Path, bundle: Path, labels: dict[str, bool], scores: dict[str, float]
) -> Iterator[tuple[float, Judged]]:
    core = core_of_bundle(bundle)
    fitted = list(token_sessions(core, [str(known)]).values())
    tested = token_sessions(core, [str(rest)])
    normal, anomalous = (
        [tokens for block, tokens in tested.items() if labels[block] is kind] for kind in (False, True)
    )
    for budget in BUDGETS:
        yield budget, judged(scores, labels, OURS, score_threshold(core.bundle.calibration, budget))
        for one in baselines(fitted, normal, anomalous, budget=budget):
            yield budget, one


def _ended_normal(log: str, labels: dict[str, bool], *, by_time: bool) -> set[str]:
    """The normal blocks whose last line lies in the first half of the log's span, or of its lines."""
    last: dict[str, int] = {}
    times: list[int] = []
    for line in _lines(log):
        times.append(int(line[:13].replace(b" ", b"")))  # yymmdd HHMMSS
        if found := BLOCK.search(line):
            last[found[0].decode()] = len(times)
    at_line = _seconds(np.array(times)) if by_time else np.arange(len(times))
    half = (at_line.min() + at_line.max()) / 2
    return {block for block, at in last.items() if not labels[block] and at_line[at - 1] <= half}


def _seconds(stamps: Any) -> Any:
    """Seconds since the beginning of the month of digits yymmddHHMMSS."""
    days, clock = np.divmod(stamps, 1_000_000)
    return days % 100 * 86_400 + clock // 10_000 * 3600 + clock // 100 % 100 * 60 + clock % 100


def _write(log: str, path: Path, wanted: Callable[[str], bool]) -> None:
    """Copy the lines of some blocks; of a line that names several, the first counts."""
    with path.open("wb") as file:
        file.writelines(
            line + b"\n"
            for line in _lines(log)
            if (found := BLOCK.search(line)) and wanted(found[0].decode())
        )


def _lines(log: str) -> Iterator[bytes]:
    return (record.value for records in read(log) for record in records)


if __name__ == "__main__":
    main()
