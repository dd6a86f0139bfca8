"""What a source costs: bytes in Redis, and the memory of a worker, from ten thousand sources to a million.

`python -m benchmarks.sources --data FOLDER` prints one JSON object a line. It starts a broker and a Redis of
its own, trains a small bundle on FOLDER/hdfs or reuses that in ./bench-out, and sends generated lines of ever
more blocks that are alive at a time. At the end the clock goes on until all of them have ended. With
`--kind streams` the sources are hosts, which do not end, and the bundle is that of FOLDER/linux.
"""

import argparse
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any, Final, NamedTuple

from benchmarks.generate import BLOCK, LINES_PER_S, growing, of_block, of_host
from benchmarks.stream import Running, Stage, made, servers, status, until, worker
from benchmarks.stream_feed import PARTITIONS, fill
from benchmarks.watch import LOGS, Log, prepared, show
from detector.config.options import RedisAt
from detector.stages.decode.clock import CONFIRMING_LINES
from detector.store.redis.connect import nodes_at
from detector.store.redis.keys import key
from detector.store.redis.nodes import Nodes
from tests.receiver import Script
from tests.receiver import serving as receiving

STEPS: Final = (10_000, 100_000, 250_000, 500_000, 1_000_000)
TOPIC: Final = "keyed-sources"
LATER_S: Final = 30 * 86_400  # beyond what any source of the bundle is waited for
LATE: Final = 50  # sources
LOOK_S: Final = 0.2
STILL_S: Final = 20.0  # after which nothing more ends


class Kind(NamedTuple):
    """Sources of one kind."""

    log: Log
    name: re.Pattern[bytes]
    line_of: Callable[[int, int, int], bytes]
    ends: bool


KINDS: Final = {
    "sessions": Kind(LOGS[0], BLOCK, of_block, ends=True),
    "streams": Kind(LOGS[1], re.compile(rb"combo\d+"), of_host, ends=False),
}


def main() -> None:
    """Grow, and print after each step."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds hdfs and linux")
    arguments.add_argument("--out", type=Path, default=Path("bench-out"), help="where the bundle is kept")
    arguments.add_argument("--sources", type=int, default=STEPS[-1])
    arguments.add_argument("--each", type=int, default=2, help="lines of a source, on average")
    arguments.add_argument("--kind", choices=KINDS, default="sessions")
    given = arguments.parse_args()
    logging.disable()
    given.out.mkdir(exist_ok=True)
    kind = KINDS[given.kind]
    bundle, _ = prepared(kind.log, given.data, given.out, epochs=1)
    with tempfile.TemporaryDirectory() as name, receiving(Script()) as receiver, servers(Path(name)) as urls:
        stage = Stage(*urls, bundle.absolute(), Path(name), receiver.url)
        made(stage, TOPIC)
        with closing(nodes_at(RedisAt(url=stage.redis))) as nodes, worker(stage, TOPIC) as running:
            seen = Seen(nodes, running)
            steps = [*(step for step in STEPS if step < given.sources), given.sources]
            _grow(stage, kind, given.each, steps, seen)
            if kind.ends:
                _end(stage, kind, given.each * given.sources, seen)


class Seen:
    """A Redis and a worker, looked at from outside."""

    def __init__(self, nodes: Nodes, running: Running) -> None:
        """Note what an empty Redis takes."""
        self._nodes, self.running = nodes, running
        self._empty = self._used()

    def live(self) -> int:
        """Sources that have a state."""
        names = (key(TOPIC, f"{TOPIC}-{partition}", "states") for partition in range(PARTITIONS))
        return sum(self._nodes.ask(name, "HLEN", name) for name in names)

    def shown(self) -> dict[str, Any]:
        """What Redis and the worker take now."""
        live, used, memory = self.live(), self._used() - self._empty, status(self.running.process.pid)
        return {
            "live_sources": live,
            "redis_mib": used >> 20,
            "redis_bytes_per_source": round(used / live) if live else None,
            "worker_resident_mib": int(memory["VmRSS"].split()[0]) >> 10,
            "worker_peak_mib": int(memory["VmHWM"].split()[0]) >> 10,
        }

    def _used(self) -> int:
        (address,) = self._nodes.primaries()
        info = self._nodes.ask_at(address, "INFO", "memory").decode()
        return int(info.partition("used_memory:")[2].split()[0])


def _grow(stage: Stage, kind: Kind, each: int, steps: list[int], seen: Seen) -> None:
    lines = growing(each, 0, kind.line_of)
    before_s, before = 0.0, 0
    for sources in steps:
        some = islice(lines, each * (sources - before))
        fill(stage.broker, TOPIC, (line.rstrip(b"\n") for line in some), kind.name)
        sample = until(seen.running, each * sources)
        rate = each * (sources - before) / (sample.cpu_s - before_s)
        show(sources=sources, **seen.shown(), lines_per_cpu_second=round(rate))
        before_s, before = sample.cpu_s, sources


def _end(stage: Stage, kind: Kind, lines: int, seen: Seen) -> None:
    """Let the clock go on; what is left then is what says so, and the ends of lives that alerted."""
    number = lines + LATER_S * LINES_PER_S
    late = list(_late(kind, number))
    fill(stage.broker, TOPIC, late, kind.name)
    began_s, pause, live = perf_counter(), Event(), seen.live()
    ended_s = began_s
    while live > LATE and perf_counter() - ended_s < STILL_S:
        pause.wait(LOOK_S)
        before, live = live, seen.live()
        ended_s = perf_counter() if live < before else ended_s
    show(ended_after_s=round(ended_s - began_s, 1), **seen.shown())


def _late(kind: Kind, number: int) -> Iterator[bytes]:
    """As many lines for each partition as it takes to believe the clock in them."""
    for source in range(number, number + LATE):
        for _ in range(CONFIRMING_LINES):
            yield kind.line_of(source, 0, number).rstrip(b"\n")


if __name__ == "__main__":
    main()
