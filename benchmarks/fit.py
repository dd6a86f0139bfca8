"""Wall time and peak memory of `tailrace-train fit` on HDFS_v1.

`python -m benchmarks.fit --data FOLDER` reads FOLDER/hdfs/hdfs.log (also .gz or .zst): the public log
HDFS_v1 of loghub (Zenodo record "Loghub: HDFS_v1"), or any part of it. Prints one JSON object; the
peak is that of the largest process, megabytes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from detector.bundle import load

OPTIONS = ("--session", "--source-regex", r"blk_-?\d+")
KILO = 1024 if sys.platform != "darwin" else 1024 * 1024  # units of ru_maxrss in a megabyte


def main() -> None:
    """Fit once and print what it took."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds hdfs")
    [log] = sorted((arguments.parse_args().data / "hdfs").glob("hdfs.log*"))
    with tempfile.TemporaryDirectory() as work:
        command = ["fit", str(log), *OPTIONS, "--out", f"{work}/bundle"]
        begin = perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "training.cli.__main__", *command], stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = perf_counter() - begin
        if status:
            sys.exit(f"tailrace-train {' '.join(command)} failed")
        data = load(Path(work) / "bundle").manifest.data
        print(
            json.dumps(
                {
                    "lines": data["lines"],
                    "sessions": data["sources"],
                    "wall_s": round(seconds, 1),
                    "cpu_s": round(used.ru_utime + used.ru_stime, 1),
                    "peak_mb": round(used.ru_maxrss / KILO),
                    "processors": os.cpu_count(),
                }
            )
        )


if __name__ == "__main__":
    main()
