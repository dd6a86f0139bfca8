"""A Kafka broker of one node for the tests. Starts Java, opens loopback ports.

Everything it makes lies in one folder, so that a broker that was killed goes on with its data.
"""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import IO

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

VERSION = os.environ.get("KAFKA", "")  # another one than kafka.xml names
# Ignored by git, and gone with the environment.
HOME = Path(sys.prefix) / (f"kafka-{VERSION}" if VERSION else "kafka")
FORMATTED = HOME / "formatted"  # by kafka_jars
CLASSPATH, ARCHIVE = HOME / "classpath", HOME / "classes.jsa"
CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"  # any 16 bytes in base64
JAVA = ["java", "-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
START_S = 60.0  # deadline; two seconds are usual
STOP_S = 30.0
POLL_S = 0.05

# Below those that the system gives to clients, so that none of these has a server's port while it is down.
# Each process begins somewhere and goes on from there, so that no two choose the same one at a time.
PORTS = range(10_000, 32_000)
_candidates = islice(cycle(PORTS), random.SystemRandom().randrange(len(PORTS)), None)

# Groups form at once, a broker that was killed is let in again soon (not at once: one that gets no CPU for as
# long takes itself for dead), and a single node holds what a cluster spreads.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAIN://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{port}
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
log.dirs={data}
auto.create.topics.enable=false
broker.session.timeout.ms=2500
broker.heartbeat.interval.ms=200
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.check.interval.ms=1000
log.cleaner.backoff.ms=200
log.initial.task.delay.ms=100
"""


class Broker:
    """A broker and its folder; `start` and `stop` or `kill` as often as a test needs."""

    def __init__(self, folder: Path, java_options: Sequence[str] = (), *, more_settings: str = "") -> None:
        """Choose ports; nothing is started. Later settings replace earlier ones of their name."""
        self.folder, self.data, self.settings = folder, folder / "data", folder / "server.properties"
        self._java_options, self._more_settings = java_options, more_settings
        self.port, self._controller_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    def write_settings(self) -> None:
        """Write the broker's configuration."""
        ports = {"port": self.port, "controller": self._controller_port}
        self.settings.write_text((SETTINGS + self._more_settings).format(**ports, data=self.data))

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and come back once it answers."""
        if not CLASSPATH.exists() or not FORMATTED.exists():
            raise AssertionError("the broker is not there: run scripts/prepare-tests")
        if not self.data.exists():
            shutil.copytree(FORMATTED, self.data)
        self.write_settings()
        command = java("kafka.Kafka", str(self.settings), options=self._java_options)
        self._errors = (self.folder / "broker.log").open("ab")
        self._process = subprocess.Popen(command, stdout=self._errors, stderr=subprocess.STDOUT)
        self._wait_until_it_serves()

    def _wait_until_it_serves(self) -> None:
        assert self._process is not None
        deadline, pause = time.monotonic() + START_S, threading.Event()
        while not (listens(self.port) and asyncio.run(serves(self.address))):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                said = (self.folder / "broker.log").read_text()[-4000:]
                raise AssertionError(f"the broker did not come up:\n{said}")
            pause.wait(POLL_S)

    def stop(self) -> None:
        """Let it close its files and end."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            finally:
                self.kill()

    def kill(self) -> None:
        """End it as a power cut would (kill -9)."""
        if self._process is not None and self._errors is not None:
            self._process.kill()
            self._process.wait()
            self._errors.close()
            self._process = None

    def freeze(self) -> None:
        """Let it stand still: it takes connections, and answers nobody."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            pause = threading.Event()
            while not stands_still(self._process.pid):  # each of its threads stops when it gets to run
                pause.wait(POLL_S)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop, and start on the same data and ports."""
        self.stop()
        self.start()


def stands_still(pid: int) -> bool:
    """Whether every thread of a process is stopped."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    with suppress(FileNotFoundError):  # a thread that ends meanwhile
        return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)
    return False


def java(tool: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """The command that runs one of Kafka's programs."""
    options = options or ([f"-XX:SharedArchiveFile={ARCHIVE}"] if ARCHIVE.exists() else [])
    return [*JAVA, *options, "-cp", CLASSPATH.read_text(), tool, *arguments]


def format_data(broker: Broker, *options: str) -> None:
    """Write what a broker's data holds before its first start."""
    broker.write_settings()
    command = java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(broker.settings), *options)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def listens(port: int) -> bool:
    """Whether there is anybody at a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


async def serves(address: str) -> bool:
    """Whether a broker is there that clients can use."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5000)
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on, never the same ones again."""
    return list(islice(filter(_is_free, _candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as one, suppress(OSError):
        one.bind(("127.0.0.1", port))
        return True
    return False
