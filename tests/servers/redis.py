"""Redis servers for the tests, alone or as a cluster of three. Starts redis-server, opens loopback ports.

Everything a server writes lies in one folder, so that one that was killed goes on with its data.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from redis.connection import Connection
from redis.exceptions import RedisError

from tests.servers.kafka import free_ports

COMMAND = os.environ.get("REDIS_SERVER", "redis-server")  # or the path of a Valkey
START_S = 30.0  # deadline; a tenth of a second is usual
STOP_S = 30.0
POLL_S = 0.01
SLOTS = 16_384


class Server:
    """A server and its folder; `start` and `stop` or `kill` as often as a test needs."""

    def __init__(self, folder: Path, *options: str, cluster: bool = False) -> None:
        """Choose ports; nothing is started."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port, self.bus_port = free_ports(2)
        self._options = [
            *("--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no"),
            *("--logfile", str(folder / "redis.log"), "--port", str(self.port)),
            *("--repl-diskless-sync-delay", "0"),
            *(("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)) if cluster else ()),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and come back once it answers."""
        command = shutil.which(COMMAND)
        if command is None:
            raise AssertionError(f"{COMMAND} is not there: run scripts/prepare-tests")
        with (self.folder / "redis.out").open("ab") as said:  # what it says before it has its log file
            self._process = subprocess.Popen([command, *self._options], stdout=said, stderr=said)
        wait_until(self._answers, f"redis did not come up: {self.folder}/redis.log")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"redis has ended:\n{(self.folder / 'redis.log').read_text()[-4000:]}")
        try:
            return bool(self("PING") == b"PONG")
        except (RedisError, OSError) as error:
            # One that asks for a password or a certificate is there too.
            return "NOAUTH" in str(error) or "Authentication" in str(error)

    def __call__(self, *command: str | bytes | int) -> Any:
        """Send one command, as somebody beside the store."""
        connection = Connection(host="127.0.0.1", port=self.port, protocol=2)  # type: ignore[no-untyped-call]
        try:
            connection.send_command(*command)  # type: ignore[no-untyped-call]
            return connection.read_response()
        finally:
            connection.disconnect()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Let it end in order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            finally:
                self.kill()

    def kill(self) -> None:
        """End it as a power cut would (kill -9)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it stand still: connections stay open, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop, and start on the same data and ports."""
        self.stop()
        self.start()

    def replicate(self, primary: "Server") -> None:
        """Follow another server, and come back with all that it has; of a cluster if both are."""
        if b"cluster_enabled:1" in self("INFO", "cluster"):
            primary("CLUSTER", "MEET", "127.0.0.1", self.port, self.bus_port)
            name = primary("CLUSTER", "MYID")
            wait_until(lambda: name in self("CLUSTER", "NODES"), "the node was not met")
            self("CLUSTER", "REPLICATE", name)
        else:
            self("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: b"master_link_status:up" in self("INFO", "replication"), "it did not follow")

    def cut_off(self) -> None:
        """Let nobody follow any more; replicas stay, with what they have by now."""
        self("ACL", "SETUSER", "default", "-psync", "-sync")
        self("CLIENT", "KILL", "TYPE", "replica")

    def written_bytes(self) -> int:
        """How much was written to it, or has reached it of its primary's."""
        (line,) = (one for one in self("INFO", "replication").split() if b"master_repl_offset" in one)
        return int(line.partition(b":")[2])

    def snapshot(self) -> bytes:
        """Everything that it holds now, as `restore` takes it."""
        self("SAVE")
        return (self.folder / "dump.rdb").read_bytes()

    def restore(self, snapshot: bytes) -> None:
        """Come back with the data of an older day."""
        self.kill()
        (self.folder / "dump.rdb").write_bytes(snapshot)
        log = self.folder / "appendonlydir"
        if not log.exists():
            self.start()
            return
        shutil.rmtree(log)
        options, self._options = self._options, [*self._options, "--appendonly", "no"]
        self.start()
        self._options = options
        self("CONFIG", "SET", "appendonly", "yes")
        wait_until(self._keeps_log, "redis did not write its log anew")

    def _keeps_log(self) -> bool:
        info = self("INFO", "persistence")
        return b"aof_rewrite_in_progress:0" in info and b"aof_rewrite_scheduled:0" in info


def wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    """Ask again and again until something holds."""
    deadline, pause = time.monotonic() + START_S, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, otherwise
        pause.wait(POLL_S)


@contextmanager
def serving(folder: Path, *options: str, cluster: bool = False) -> Iterator[Server]:
    """One server; of a cluster it knows no other yet."""
    server = Server(folder, *options, cluster=cluster)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def cluster(folder: Path, *options: str) -> Iterator[list[Server]]:
    """Three primaries that share the slots."""
    servers = [Server(folder / name, *options, cluster=True) for name in "abc"]
    with ExitStack() as stack:
        for number, server in enumerate(servers):
            stack.callback(server.kill)
            server.start()
            first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
            server("CLUSTER", "ADDSLOTSRANGE", first, last)
            server("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in servers[1:]:
            server("CLUSTER", "MEET", "127.0.0.1", servers[0].port, servers[0].bus_port)
        wait_until(lambda: all(_is_whole(server) for server in servers), "the cluster did not form")
        yield servers


def _is_whole(server: Server) -> bool:
    info = server("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info


class Proxy:
    """Stands between client and server, and can swallow replies: what was asked is done, unheard."""

    def __init__(self, target: int) -> None:
        """Listen on a free port."""
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cutting = threading.Event()
        self._marked: bytes | None = None
        self.has_cut = threading.Event()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def lead_to(self, target: int) -> None:
        """From now on stand before another server; who is connected to the one before is cut off."""
        self._target = target
        _shut(*self._open)

    def cut_replies(self) -> None:
        """From now on close a connection in place of its next reply."""
        self._cutting.set()

    def cut_reply_to(self, mark: bytes) -> None:
        """Close a connection in place of the reply to the next command that holds these bytes."""
        self.has_cut.clear()
        self._marked = mark

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(STOP_S)

    def _accept(self) -> None:
        lanes = []
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:  # it is away
                    client.close()
                    continue
                self._open += [client, server]
                cut = threading.Event()
                lanes.append(threading.Thread(target=self._ask, args=(client, server, cut)))
                lanes.append(threading.Thread(target=self._answer, args=(server, client, cut)))
                lanes[-2].start()
                lanes[-1].start()
        for lane in lanes:
            lane.join(STOP_S)

    def _ask(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                if self._marked is not None and self._marked in data:
                    self._marked = None
                    cut.set()
                server.sendall(data)
        _shut(client, server)

    def _answer(self, server: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if cut.is_set():
                    self.has_cut.set()
                if cut.is_set() or self._cutting.is_set():
                    break
                client.sendall(data)
        _shut(server, client)
        for end in (server, client):
            end.close()


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
