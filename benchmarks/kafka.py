"""How many lines one process reads from Kafka, or routes there. Starts a broker, prints JSON.

`python -m benchmarks.kafka [--lines N] [--compression gzip|snappy|lz4|zstd] [--route]`; scripts/prepare-tests
gets the broker. The worker's CPU is counted, not the broker's.
"""

import argparse
import json
import logging
import multiprocessing
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from detector.cli.start import collect_rarely
from detector.distributed.routing import Router
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import Begin, Feed, PartitionBatch, Shard
from detector.inputs.kafka.run import run
from detector.shard.core import Rules, build
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.small_bundle import small_bundle

TOPIC, PARTITIONS = "lines", 4
ROUTED, HOSTS = "routed", 1000
LINE = b"2026-01-01T00:00:00.000Z worker-%d request 4711 done in 23 ms, 200 OK, path /v1/items, user %d INFO"
END_S = 300.0


class Counting:
    """A shell that keeps nothing, and asks for the end after a number of lines."""

    def __init__(self, lines: int) -> None:
        """Nothing is counted before the first batch: starting up is not reading."""
        self.wanted, self.lines, self.batches = lines, 0, 0
        self.first_s = self.first_cpu_s = self.took_s = self.took_cpu_s = 0.0
        self._done = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Whether everything is read."""
        return self._done.wait(seconds)

    def process(self, batch: PartitionBatch) -> None:
        """Count a batch."""
        if self.first_s:
            self.lines += len(batch.records)
            self.batches += 1
        else:
            self.wanted -= len(batch.records)
            self.first_s, self.first_cpu_s = time.perf_counter(), cpu_s()
        if self.lines >= self.wanted:
            self.took_s, self.took_cpu_s = time.perf_counter() - self.first_s, cpu_s() - self.first_cpu_s
            self._done.set()

    def fence(self, _: Shard) -> int | None:
        """Begin at the beginning."""
        return None

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Keep nothing."""

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """Keep nothing."""

    def stopped(self, shard: Shard, reason: str) -> None:
        """Cannot be: the topic is new."""

    def dropped(self, shards: frozenset[Shard]) -> None:
        """Keep nothing."""


class Routing(Counting):
    """The router, counted."""

    def __init__(self, lines: int, router: Router) -> None:
        """Do with each batch what the router does."""
        super().__init__(lines)
        self.router = router

    def process(self, batch: PartitionBatch) -> None:
        """Route a batch, and count it."""
        self.router.process(batch)
        super().process(batch)

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to."""
        return self.router.fence(shard)

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Take it."""
        self.router.begin(shard, begin)

    def dropped(self, shards: frozenset[Shard]) -> None:
        """Let go of them."""
        self.router.dropped(shards)


def cpu_s() -> float:
    """What this process has used."""
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def fill(address: str, lines: int, compression: str | None) -> None:
    """Write the lines; in a process of its own, whose memory is not the worker's."""
    topics.create(address, TOPIC, PARTITIONS)
    topics.create(address, ROUTED, PARTITIONS)
    for partition in range(PARTITIONS):
        values = (LINE % (number % HOSTS, number) for number in range(lines // PARTITIONS))
        topics.produce(address, TOPIC, values, partition=partition, compression=compression)


def main() -> None:
    """Fill a topic and read it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--compression")
    parser.add_argument("--route", action="store_true")
    given = parser.parse_args()
    logging.disable()
    collect_rarely()
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        broker.start()
        try:
            writer = multiprocessing.get_context("spawn").Process(
                target=fill, args=(broker.address, given.lines, given.compression)
            )
            writer.start()
            writer.join(END_S)
            lines = given.lines // PARTITIONS * PARTITIONS
            connection = Connection(brokers=(broker.address,))
            feed = Feed(connection=connection, group="b", topics=(TOPIC,), start="earliest")
            with ExitStack() as stack:
                counting = Counting(lines)
                if given.route:
                    small_bundle(Path(folder) / "bundle", session=False)
                    core = build(Path(folder) / "bundle", {}, Rules(), [])
                    counting = Routing(lines, stack.enter_context(closing(Router(core, feed, ROUTED))))
                run(feed, counting, counting)
        finally:
            broker.kill()
    measured = {
        "lines": counting.lines,
        "batches": counting.batches,
        "wall_s": round(counting.took_s, 2),
        "cpu_s": round(counting.took_cpu_s, 2),
        "lines_per_cpu_s": round(counting.lines / counting.took_cpu_s),
        "max_rss_mib": getrusage(RUSAGE_SELF).ru_maxrss >> 10,
    }
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
