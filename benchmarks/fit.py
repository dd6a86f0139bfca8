"""Wall time and peak memory of `tailrace-train fit`, on HDFS_v1 or on generated logs of any size.

`python -m benchmarks.fit --data FOLDER` reads FOLDER/hdfs/hdfs.log (also .gz or .zst): the public log
HDFS_v1 of loghub (Zenodo record "Loghub: HDFS_v1"), or any part of it. `--generated 200 2000` fits on
generated logs of that many megabytes instead, one epoch each: memory does not follow the input's size.
Prints one JSON object for each log; the peak is that of the largest process, megabytes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.generate import interleaved
from detector.bundle import load

OPTIONS = ("--session", "--source-regex", r"blk_-?\d+")
KILO = 1024 if sys.platform != "darwin" else 1024 * 1024  # units of ru_maxrss in a megabyte
BLOCKS = 2000  # alive at a time in a generated log


def main() -> None:
    """Fit once for each log and print what it took."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds hdfs")
    arguments.add_argument("--generated", type=int, nargs="+", metavar="MB", help="sizes of generated logs")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as work:
        for size_mb in given.generated or ():
            log = Path(work) / "generated.log"
            _generate(log, size_mb)
            print(json.dumps({"input_mb": size_mb, **_fit(log, Path(work) / "bundle", "--epochs", "1")}))
        if not given.generated:
            [log] = sorted((given.data / "hdfs").glob("hdfs.log*"))
            print(json.dumps(_fit(log, Path(work) / "bundle")))


def _generate(log: Path, size_mb: int) -> None:
    written = 0
    with log.open("wb") as file:
        for line in interleaved(BLOCKS, 0):
            written += file.write(line)
            if written >= size_mb * 1_000_000:
                return


def _fit(log: Path, bundle: Path, *options: str) -> dict[str, object]:
    command = ["fit", str(log), *OPTIONS, *options, "--out", str(bundle)]
    begin = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "training.cli.__main__", *command], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = perf_counter() - begin
    if status:
        sys.exit(f"tailrace-train {' '.join(command)} failed")
    data = load(bundle).manifest.data
    return {
        "lines": data["lines"],
        "sessions": data["sources"],
        "wall_s": round(seconds, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / KILO),
        "processors": os.cpu_count(),
    }


if __name__ == "__main__":
    main()
