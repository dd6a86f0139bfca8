"""Start what docker-compose.yml starts, without Docker, on loopback ports: `stack.py up` or `down`.

A broker, a Redis with an append-only file and a worker keep running; sample logs go through them once.
Everything they write lies in one folder, .stack unless another is given.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from scripts.feed import SECONDS, STEPS, steps
from tests.servers import topics
from tests.servers.kafka import Broker, free_ports
from tests.servers.redis import Server

RECORDING = Path("tests/fixtures/redis/bad-reload")
TAILRACE = str(Path(sys.executable).with_name("tailrace"))
TOPIC, PARTITIONS = "logs", 4
READY_S, ALERT_S, STOP_S = 60.0, 30.0, 20.0
SETTINGS = """\
[input]
start = "earliest"
source_fields = ["file"]
[bundle]
path = {bundle}
[kafka]
brokers = [{broker}]
topics = ["{topic}"]
dead_letter_topic = "tailrace-dead-letters"
[redis]
url = {redis}
[web]
listen = {web}
[[receivers.jsonl]]
name = "file"
path = {alerts}
"""


class Stack(NamedTuple):
    """Where everything lies."""

    folder: Path
    bundle: Path

    @property
    def pids(self) -> Path:
        """What is to be stopped."""
        return self.folder / "pids.json"

    @property
    def config(self) -> Path:
        """The worker's configuration."""
        return self.folder / "tailrace.toml"

    @property
    def log(self) -> Path:
        """What the worker says."""
        return self.folder / "worker.log"

    @property
    def alerts(self) -> Path:
        """The alerts as they come."""
        return self.folder / "alerts.jsonl"


def up(stack: Stack, seconds: float) -> None:
    """Start everything, send the sample logs in so many seconds, and say where to look."""
    if stack.pids.exists():
        raise SystemExit("it is up already, or was not stopped: make down")
    shutil.rmtree(stack.folder, ignore_errors=True)
    (stack.folder / "kafka").mkdir(parents=True)
    say("1/3  Starting Kafka, Redis and a worker")
    broker = Broker(stack.folder / "kafka")
    redis = Server((stack.folder / "redis").absolute(), "--appendonly", "yes")
    broker.start()
    note(stack, "kafka", broker.pid)
    redis.start()
    note(stack, "redis", redis.pid)
    topics.create(broker.address, TOPIC, PARTITIONS)
    (port,) = free_ports(1)
    write_config(stack, broker.address, redis.url, port)
    tailrace(stack, "topics", "create", "--partitions", str(PARTITIONS), "--replication", "1")
    with stack.log.open("wb") as log:
        command = [TAILRACE, "worker", "--config", str(stack.config)]
        worker = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    note(stack, "worker", worker.pid)
    ready = f"the worker is not ready: see {stack.log}"
    until(lambda: worker.poll() is not None or answers(port, "/readyz"), READY_S, ready)
    if worker.poll() is not None:
        raise SystemExit(stack.log.read_text().strip())
    say(f"2/3  Sending four recorded hours to the topic {TOPIC}; somebody misconfigures Redis at 16:06")
    asyncio.run(ship(broker.address, seconds))
    alerts = stack.alerts
    until(
        lambda: alerts.exists() and alerts.stat().st_size > 0, ALERT_S, f"no alert has come: see {stack.log}"
    )
    say("3/3  The alerts, read back from Redis")
    tailrace(stack, "alerts", "list")
    say("It goes on running")
    print(f"  alerts as they come    tail -f {alerts}")
    print(f"  what the worker says   tail -f {stack.log}")
    print(f"  metrics and health     http://127.0.0.1:{port}/metrics  /readyz  /livez")
    print(f"  partitions and lag     .venv/bin/tailrace shards --config {stack.config}")
    print(f"  Kafka {broker.address}, topic {TOPIC} · {redis.url}")
    print("  stop all of it         make down")


def down(stack: Stack) -> None:
    """Stop what `up` started, the worker first."""
    pids = json.loads(stack.pids.read_text()) if stack.pids.exists() else {}
    for name, pid in reversed(pids.items()):
        if is_ours(stack, pid):
            os.kill(pid, signal.SIGTERM)
            until(lambda pid=pid: not is_ours(stack, pid), STOP_S, f"{name} does not end: kill {pid}")
            print(f"stopped {name}")
    stack.pids.unlink(missing_ok=True)


async def ship(broker: str, seconds: float) -> None:
    """Write the recording as a log shipper does: a JSON object a line, without a key."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, compression_type="zstd")
    await producer.start()
    try:
        for step in steps(RECORDING):
            for place, (name, lines) in enumerate(step.items()):
                for line in lines:
                    text = line.decode("utf-8", "replace").rstrip("\n")
                    record = {"file": f"/logs/{name}", "host": "sample", "message": text}
                    # A shipper reads a file into one partition at a time; here it stays with one.
                    await producer.send(TOPIC, json.dumps(record).encode(), partition=place % PARTITIONS)
            await producer.flush()
            await asyncio.sleep(seconds / STEPS)
    finally:
        await producer.stop()


def write_config(stack: Stack, broker: str, redis: str, port: int) -> None:
    """The worker's configuration."""
    values = {
        "bundle": str(stack.bundle),
        "broker": broker,
        "redis": redis,
        "web": f"127.0.0.1:{port}",
        "alerts": str(stack.alerts),
    }
    quoted = {name: json.dumps(value) for name, value in values.items()}
    stack.config.write_text(SETTINGS.format(topic=TOPIC, **quoted))


def tailrace(stack: Stack, *words: str) -> None:
    """Run a command of the product."""
    subprocess.run([TAILRACE, *words, "--config", str(stack.config)], check=True)


def answers(port: int, path: str) -> bool:
    """Whether the worker says yes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False


def note(stack: Stack, name: str, pid: int) -> None:
    """Remember what `down` is to stop."""
    pids = json.loads(stack.pids.read_text()) if stack.pids.exists() else {}
    stack.pids.write_text(json.dumps({**pids, name: pid}))


def is_ours(stack: Stack, pid: int) -> bool:
    """Whether the process runs, and is one that works in the folder: numbers are given out again."""
    try:
        os.kill(pid, 0)
        state, command = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("stat", "cmdline"))
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc").exists()  # nobody tells
    works_here = str(stack.folder).encode() in command or b"redis-server" in command
    return b") Z " not in state and works_here


def until(holds: Callable[[], bool], most_s: float, otherwise: str) -> None:
    """Ask again and again until something holds."""
    deadline_s = time.monotonic() + most_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise SystemExit(otherwise)
        time.sleep(0.1)


def say(text: str) -> None:
    """A headline."""
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("== ", "")
    print(f"\n{bold}{text}{plain}", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["up", "down"])
    parser.add_argument("--folder", type=Path, default=Path(".stack"))
    parser.add_argument("--bundle", type=Path, default=Path("demo-out/bundle"))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the sample logs")
    given = parser.parse_args()
    stack = Stack(given.folder, given.bundle)
    if given.what == "up":
        up(stack, given.seconds)
    else:
        down(stack)


if __name__ == "__main__":
    main()
