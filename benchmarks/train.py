"""Events a second that training reads, and its peak memory, for each cell, from a spool on disk.

`python -m benchmarks.train` makes up ten million events of a hundred long-lived sources, takes them
through the spool of `fit` as `fit` does, and trains one epoch of its newest events with every cell,
in as many processes side by side as `fit` uses; `--events 100000000` needs 3 GB of disk. Prints one
JSON object for the spool and one for each cell; the peak is that of the largest process, megabytes.
`--device cuda` trains in one process and shows what a GPU's own batch gives.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.fit import KILO
from detector.records import FIRST_TEMPLATE
from training.corpus import NEWEST_EVENTS
from training.model.fit import fit
from training.model.lessons import stream_lessons
from training.model.settings import CELLS, FitSettings
from training.spool import EVENT, Spool

SOURCES = 100
TEMPLATES = 200
BLOCK = 8_192  # events that `fit` spools at once
PROCESSES = 2
SEED = 1


def main() -> None:
    """Print what the spool took, then what each cell takes."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--events", type=int, default=10_000_000)
    arguments.add_argument("--trained", type=int, default=1_000_000, help="events of each fit at most")
    arguments.add_argument("--hidden", type=int, default=64)
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments.add_argument("--cells", nargs="+", choices=CELLS, default=CELLS)
    arguments.add_argument("--part", choices=["spool", *CELLS], help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.part == "spool":
        print(json.dumps(_spool(given.folder, given.events)))
    elif given.part:
        print(json.dumps(_train(given)))
    else:
        _measure(given)


def _measure(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        [spooled] = _run(1, "spool", folder, given)
        print(json.dumps(spooled), flush=True)
        processes = PROCESSES if given.device == "cpu" else 1
        for cell in given.cells:
            found = _run(processes, cell, folder, given)
            told = {
                "cell": cell,
                "hidden": given.hidden,
                "device": given.device,
                "processes": processes,
                "events_per_s": round(sum(one["events_per_s"] for one in found)),
                "events_per_cpu_s": round(min(one["events_per_cpu_s"] for one in found)),
                "peak_mb": max(one["peak_mb"] for one in found),
            }
            print(json.dumps(told), flush=True)


def _run(processes: int, part: str, folder: str, given: argparse.Namespace) -> list[dict[str, float]]:
    """Run a part in processes of its own, side by side, and read what each printed."""
    plain = {"events": given.events, "trained": given.trained, "hidden": given.hidden, "device": given.device}
    options = [text for name, value in plain.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.train", "--part", part, "--folder", folder, *options]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    printed = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit(f"{' '.join(command)} failed")
    return [json.loads(text) for text in printed]


def _spool(folder: Path, events: int) -> dict[str, float]:
    rng, spool, begin = np.random.default_rng(SEED), Spool(folder), perf_counter()
    usual = np.cumsum(1 / np.arange(1, TEMPLATES + 1))
    for start in range(0, events, BLOCK):
        block = np.zeros(min(BLOCK, events - start), EVENT)
        block["source"] = rng.integers(SOURCES, size=len(block))
        drawn = rng.random(len(block)) * usual[-1]
        block["token"] = FIRST_TEMPLATE + np.searchsorted(usual, drawn)  # the likelier the earlier (Zipf)
        block["time"] = 1_000 * np.arange(start, start + len(block))
        spool.append(block)
    grouped = spool.grouped(range(SOURCES), NEWEST_EVENTS)
    np.save(folder / "starts.npy", grouped.starts)
    seconds = perf_counter() - begin
    return {"events": events, "spool_s": round(seconds, 1), "peak_mb": _peak_mb()}


def _train(given: argparse.Namespace) -> dict[str, float]:
    starts = np.load(given.folder / "starts.npy")
    tokens = np.memmap(given.folder / "grouped", EVENT, "r")["token"]
    each = given.trained // (len(starts) - 1)
    streams = [tokens[a : min(b, a + each)] for a, b in pairwise(starts)]
    settings = FitSettings(cell=given.part, hidden=given.hidden, device=given.device, epochs=1, seed=SEED)
    cpu_s = _cpu_s()
    [epoch] = fit(stream_lessons(streams, settings), FIRST_TEMPLATE + TEMPLATES, settings).history
    events = epoch.events_per_s * epoch.seconds
    return {
        "events_per_s": epoch.events_per_s,
        "events_per_cpu_s": events / (_cpu_s() - cpu_s),
        "peak_mb": _peak_mb(),
    }


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILO)


if __name__ == "__main__":
    main()
