"""Seconds from the start of `tailrace worker` until it is ready, and what of them is the group's.

`python -m benchmarks.start [--bundle DIR] [--times N]` prints one JSON object a line. It starts a broker and
a Redis of its own, and fits a small bundle on the recorded logs of the tests unless one is given, kept in
./bench-out. `until_group_s` is what the worker does by itself: it imports, reads the bundle, and asks Redis
and Kafka; the rest of `ready_s` is joining the group and reading the fences. The broker lets groups form at
once; by default Kafka waits three seconds for more members (group.initial.rebalance.delay.ms).
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import Final, NamedTuple

from benchmarks.stream import Stage, configured, cpu_seconds, made, servers
from benchmarks.watch import show
from tests.receiver import free_port
from tests.scraping import ask

RECORDED: Final = Path("tests/fixtures/redis/train")
LOOK_S: Final = 0.01
DEADLINE_S: Final = 60.0


class Start(NamedTuple):
    """How long one start took."""

    ready_s: float
    until_group_s: float
    cpu_s: float


def main() -> None:
    """Start workers one after the other, of either kind of topic, and print what they took."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--bundle", type=Path, help="one that is there already")
    arguments.add_argument("--out", type=Path, default=Path("bench-out"), help="where the bundle is kept")
    arguments.add_argument("--times", type=int, default=5)
    given = arguments.parse_args()
    logging.disable()
    bundle = given.bundle or fitted(given.out / "recorded")
    with tempfile.TemporaryDirectory() as name, servers(Path(name)) as (broker, redis):
        stage = Stage(broker, redis, bundle.absolute(), Path(name), "http://127.0.0.1:9/")
        for topic in ("keyed", "routed"):
            made(stage, topic)
            starts = [started(stage, topic) for _ in range(given.times)]
            ready_s, until_group_s, cpu_s = map(median, zip(*starts, strict=True))
            show(
                name=f"tailrace worker, {topic} topic: start to ready",
                starts=given.times,
                ready_s=round(ready_s, 2),
                longest_ready_s=round(max(starts).ready_s, 2),
                until_group_s=round(until_group_s, 2),
                cpu_s=round(cpu_s, 2),
            )


def fitted(bundle: Path) -> Path:
    """The bundle of the recorded logs, fitted once."""
    if not bundle.exists():
        command = [sys.executable, "-m", "training.cli", "fit", str(RECORDED), "--out", str(bundle)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return bundle


def started(stage: Stage, name: str) -> Start:
    """Start a worker, wait until it is ready, and let it leave the group."""
    port, errors = free_port(), stage.folder / f"{name}.err"
    command = [sys.executable, "-m", "detector.cli", "worker", "--config"]
    command.append(str(configured(stage, name, name, port)))
    pause, began_s, began_at = threading.Event(), perf_counter(), time()
    with errors.open("wb") as said, subprocess.Popen(command, stderr=said) as process:
        try:
            while not is_ready(port):
                if process.poll() is not None or perf_counter() > began_s + DEADLINE_S:
                    raise SystemExit(f"the worker has not become ready:\n{errors.read_text()[-2000:]}")
                pause.wait(LOOK_S)
            start = Start(perf_counter() - began_s, working_at(errors) - began_at, cpu_seconds(process.pid))
            process.terminate()
            process.wait()
        finally:
            process.kill()
    return start


def is_ready(port: int) -> bool:
    """Whether the worker holds its shards, and Redis is there."""
    with suppress(OSError):
        return ask(port, "/readyz")[0] == HTTPStatus.OK
    return False


def working_at(errors: Path) -> float:
    """When the worker said that it begins to work, with nothing left to do but join its group."""
    entries = map(json.loads, errors.read_text().splitlines())
    (stamp,) = (one["timestamp"] for one in entries if one["event"] == "working")
    return datetime.fromisoformat(stamp).timestamp()


if __name__ == "__main__":
    main()
