"""Lines that `tailrace watch` takes a second of CPU, where the time goes, and the memory it needs.

`python -m benchmarks.watch --data FOLDER` prints one JSON object a line. It trains small bundles on
FOLDER/hdfs and FOLDER/linux, or reuses those in ./bench-out, and watches with `--once --from start`:
each log with every line five times, of other blocks or hosts, so that start-up counts for little, and
generated logs of 1,000 and 100,000 blocks at a time. CPU seconds are those of all threads of the process.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from resource import struct_rusage
from time import perf_counter
from typing import Any, Final

from benchmarks.generate import interleaved, repeated
from detector.bundle import load
from detector.errors import BadSetup

TIMES: Final = 5  # each line of a log
GENERATED_LINES: Final = 500_000


@dataclass(frozen=True, slots=True)
class Log:
    """A log with how it is trained on."""

    name: str
    packed: str  # below the data folder
    options: tuple[str, ...]


LOGS: Final = (
    Log("hdfs", "hdfs/hdfs.log.gz", ("--session", "--source-regex", r"blk_-?\d+")),
    Log("linux", "linux/Linux.log.gz", ("--source-field", "host")),
)


def main() -> None:
    """Measure each log and print what was found."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds hdfs and linux")
    arguments.add_argument(
        "--out", type=Path, default=Path("bench-out"), help="where bundles and logs are kept"
    )
    arguments.add_argument("--epochs", type=int, default=1, help="of training; speed hardly depends on it")
    given = arguments.parse_args()
    given.out.mkdir(exist_ok=True)
    for log in LOGS:
        bundle, text = prepared(log, given.data, given.out, given.epochs)
        _report(log.name, text, bundle, repeated_times=TIMES)
        show(log=log.name, shares=_shares(text, bundle, given.out / "shares.db"))
    bundle = given.out / "hdfs"
    for sources in (1_000, 100_000):
        text = given.out / f"generated-{sources}.log"
        _write(text, islice(interleaved(sources, seed=0), GENERATED_LINES))
        _report("generated", text, bundle, sources=sources)


def prepared(log: Log, data: Path, out: Path, epochs: int) -> tuple[Path, Path]:
    """The bundle and the text to watch, made where they are not there."""
    bundle, text = out / log.name, out / f"{log.name}.log"
    if not _loads(bundle):
        shutil.rmtree(bundle, ignore_errors=True)
        words = [
            "fit",
            data / log.packed,
            "--out",
            bundle,
            "--epochs",
            epochs,
            "--device",
            "cpu",
            *log.options,
        ]
        _run("training.cli", *words)
    if not text.exists():
        with gzip.open(data / log.packed) as lines:
            _write(text, repeated(lines, TIMES))
    return bundle, text


def _loads(bundle: Path) -> bool:
    """Whether a bundle is there that this version reads."""
    try:
        load(bundle)
    except BadSetup:
        return False
    return True


def _write(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(lines)


def _report(name: str, text: Path, bundle: Path, **facts: Any) -> None:
    """Watch one text from start to end, and a single line of it for what starting costs."""
    one = text.with_suffix(".one")
    with text.open("rb") as file:
        one.write_bytes(file.readline())
        lines = 1 + sum(1 for _ in file)
    start, _ = _watched(one, bundle)
    used, wall_s = _watched(text, bundle)
    cpu_s, start_s = (usage.ru_utime + usage.ru_stime for usage in (used, start))
    show(
        log=name,
        **facts,
        lines=lines,
        bytes=text.stat().st_size,
        lines_per_cpu_s=round(lines / cpu_s),
        lines_per_cpu_s_without_start=round(lines / (cpu_s - start_s)),
        cpu_s=round(cpu_s, 2),
        start_cpu_s=round(start_s, 2),
        wall_s=round(wall_s, 2),
        resident_mib=round(used.ru_maxrss / 1024),
    )


def _watched(text: Path, bundle: Path) -> tuple[struct_rusage, float]:
    """What one run used."""
    state = text.with_suffix(".db")
    for left in state.parent.glob(state.name + "*"):
        left.unlink()
    words = ["watch", text, "--bundle", bundle, "--state", state, "--once", "--from", "start"]
    began_s = perf_counter()
    return _run("detector.cli", *words), perf_counter() - began_s


def _shares(text: Path, bundle: Path, state: Path) -> Any:
    """In another process: a process that starts others counts towards their largest resident memory."""
    command = [sys.executable, "-m", "benchmarks.watch_shares", *map(str, (text, bundle, state))]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _run(package: str, *words: object) -> struct_rusage:
    command = [sys.executable, "-m", f"{package}.__main__", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return used


def show(**facts: Any) -> None:
    """Print one measurement."""
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
