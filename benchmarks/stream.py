"""Lines that `tailrace worker` takes a second of CPU from Kafka to Redis, beside a plain Faust agent.

`python -m benchmarks.stream --data FOLDER` prints one JSON object a line. It starts a broker and a Redis of
its own, trains a small bundle on FOLDER/hdfs or reuses that in ./bench-out, writes a million lines of HDFS to
four partitions, and counts the CPU seconds of all threads of the worker, without its start. Then lines come
at half the speed that the worker has reached, some of them never seen before: the time from such a line to
its webhook.
"""

import argparse
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NamedTuple

from benchmarks.generate import repeated
from benchmarks.stream_feed import PARTITIONS, Arrivals, arriving, fill, paced
from benchmarks.watch import LOGS, prepared, show
from tests.receiver import free_port
from tests.scraping import scraped
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import serving

WARM_LINES: Final = 1_000  # before times are taken
PLAIN_LINES: Final = 20_000  # of the plain agent, which is slow
DEADLINE_S: Final = 900.0
LOOK_S: Final = 0.1
CONFIG: Final = """
[input]
start = "earliest"
keyed = {keyed}
[bundle]
path = {bundle}
[kafka]
brokers = [{broker}]
topics = [{topic}]
group = {name}
routed_topic = {routed}
[redis]
url = {redis}
key_prefix = {name}
[web]
listen = {web}
[[receivers.webhook]]
name = "bench"
url = {webhook}
allow_private = true
"""


class Sample(NamedTuple):
    """What a worker has done and used by now."""

    lines: int
    cpu_s: float
    at_s: float


class Running(NamedTuple):
    """A worker."""

    process: subprocess.Popen[bytes]
    port: int  # where it serves its numbers
    errors: Path


class Stage(NamedTuple):
    """What everything is run on."""

    broker: str
    redis: str
    bundle: Path
    folder: Path
    webhook: str


def main() -> None:
    """Measure one thing after the other, and print it."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds hdfs")
    arguments.add_argument("--out", type=Path, default=Path("bench-out"), help="where the bundle is kept")
    arguments.add_argument("--lines", type=int, default=1_000_000)
    given = arguments.parse_args()
    logging.disable()
    given.out.mkdir(exist_ok=True)
    bundle, text = prepared(LOGS[0], given.data, given.out, epochs=1)
    with text.open("rb") as file:
        times = math.ceil(given.lines / sum(1 for _ in file))
        file.seek(0)
        lines = [line.rstrip(b"\n") for line in islice(repeated(file, times), given.lines)]
    with tempfile.TemporaryDirectory() as name, arriving() as arrivals:
        folder = Path(name)
        with servers(folder) as (broker, redis):
            stage = Stage(broker, redis, bundle.absolute(), folder, arrivals.url)
            _compare(stage, lines, text, arrivals)


def _compare(stage: Stage, lines: list[bytes], text: Path, arrivals: Arrivals) -> None:
    keyed = streamed(stage, "keyed", lines)
    plain = plainly(stage, "keyed", text, min(PLAIN_LINES, len(lines)))
    routed = streamed(stage, "routed", lines)
    for one in (keyed, routed, plain):
        ratio = one["lines_per_cpu_second"] / plain["lines_per_cpu_second"]
        show(**one, times_plain=round(ratio, 1))
    show(name="shares of the keyed worker's CPU", **shares(stage, "keyed"))
    show(name="shares of the routed worker's CPU", **shares(stage, "routed"))
    for name, one in (("keyed", keyed), ("routed", routed)):
        show(**line_to_webhook(stage, name, lines, one["lines_per_second"] / 2, arrivals))


def streamed(stage: Stage, name: str, lines: list[bytes]) -> dict[str, Any]:
    """What a worker takes for all of the lines, read directly or routed first."""
    made(stage, name)
    fill(stage.broker, name, lines)
    with worker(stage, name) as running:
        first = until(running, 1)
        last = until(running, len(lines))
        resident_kib = status(running.process.pid)["VmHWM"]
    done, cpu_s, wall_s = (after - before for before, after in zip(first, last, strict=True))
    return {
        "name": f"tailrace worker, {name} topic",
        "lines": done,
        "lines_per_cpu_second": round(done / cpu_s),
        "lines_per_second": round(done / wall_s),
        "cpu_s": round(cpu_s, 2),
        "start_cpu_s": round(first.cpu_s, 2),
        "resident_mib": int(resident_kib.split()[0]) >> 10,
    }


def plainly(stage: Stage, topic: str, training: Path, lines: int) -> dict[str, Any]:
    """What a plain agent takes for some of them."""
    words = [stage.broker, topic, stage.bundle, stage.redis, training, lines]
    used = _said("benchmarks.plain_agent", *words)
    rate = round(used["lines"] / used["cpu_s"])
    return {"name": "plain Faust agent", **used, "lines_per_cpu_second": rate}


def shares(stage: Stage, topic: str) -> dict[str, float]:
    """Where the time of a worker goes, in a process with clocks around its stages."""
    name = f"{topic}-shares"
    if topic == "routed":
        topics.create(stage.broker, f"{name}-by-source", PARTITIONS)
    found: dict[str, float] = _said("benchmarks.stream_shares", configured(stage, topic, name))
    return found


def line_to_webhook(
    stage: Stage, topic: str, lines: list[bytes], rate: float, arrivals: Arrivals
) -> dict[str, Any]:
    """How long it takes from a line that was never seen before to the webhook about it."""
    name = f"{topic}-paced"
    made(stage, name)
    arrivals.clear()
    fill(stage.broker, name, lines[:WARM_LINES])
    with worker(stage, name) as running:
        until(running, WARM_LINES)
        sent = paced(stage.broker, name, lines, rate)
        took_s = sorted(arrivals.wait_for(number) - at_s for number, at_s in sent.items())
    return {
        "name": f"line to webhook at half load, {topic} topic",
        "lines_per_second": round(rate),
        "webhooks": len(took_s),
        "p50_s": round(took_s[len(took_s) // 2], 3),
        "p99_s": round(took_s[int(0.99 * len(took_s))], 3),
    }


def made(stage: Stage, name: str) -> None:
    """Make the topics."""
    topics.create(stage.broker, name, PARTITIONS)
    if not name.startswith("keyed"):
        topics.create(stage.broker, f"{name}-by-source", PARTITIONS)


def configured(stage: Stage, topic: str, name: str, port: int = 0) -> Path:
    """Write a worker's configuration."""
    text = {
        "bundle": str(stage.bundle), "broker": stage.broker, "redis": stage.redis, "name": name,
        "topic": topic, "webhook": stage.webhook, "routed": f"{name}-by-source",
        "keyed": topic.startswith("keyed"), "web": f"127.0.0.1:{port}",
    }  # fmt: skip
    path = stage.folder / f"{name}.toml"
    path.write_text(CONFIG.format(**{key: json.dumps(value) for key, value in text.items()}))
    return path


@contextmanager
def worker(stage: Stage, name: str) -> Iterator[Running]:
    """A worker of the topic with that name."""
    port, errors = free_port(), stage.folder / f"{name}.err"
    config = configured(stage, name, name, port)
    command = [sys.executable, "-m", "detector.cli", "worker", "--config", str(config)]
    with errors.open("wb") as said, subprocess.Popen(command, stderr=said) as process:
        try:
            yield Running(process, port, errors)
        finally:
            process.kill()


def until(running: Running, lines: int) -> Sample:
    """Wait until so many lines are kept."""
    pause, deadline_s, process = threading.Event(), perf_counter() + DEADLINE_S, running.process
    while process.poll() is None and perf_counter() < deadline_s:
        sample = Sample(_kept(running.port), cpu_seconds(process.pid), perf_counter())
        if sample.lines >= lines:
            return sample
        pause.wait(LOOK_S)
    raise SystemExit(f"the worker has not come to line {lines}:\n{running.errors.read_text()[-2000:]}")


def _kept(port: int) -> int:
    """The lines whose commits are written, as the worker counts them; 0 before it serves that."""
    with suppress(OSError):
        found = scraped(port)
        return int(sum(value for (name, _), value in found.items() if name == "tailrace_records_total"))
    return 0


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(pid: int) -> dict[str, str]:
    """What Linux says of a process (proc_pid_status(5))."""
    rows = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: value.strip() for key, value in rows}


def _said(module: str, *words: object) -> Any:
    command = [sys.executable, "-m", module, *map(str, words)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(said.splitlines()[-1])  # Faust prints a banner first


@contextmanager
def servers(folder: Path) -> Iterator[tuple[str, str]]:
    """A broker and a Redis: their addresses."""
    with ExitStack() as stack:
        broker = Broker(folder / "kafka")
        (folder / "kafka").mkdir()
        broker.start()
        stack.callback(broker.kill)
        yield broker.address, stack.enter_context(serving(folder / "redis")).url


if __name__ == "__main__":
    main()
