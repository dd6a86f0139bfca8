"""Where the CPU of a worker goes: the same worker in this process, with clocks around its stages.

The clocks cost time of their own, so these are shares, not speeds.
`python -m benchmarks.stream_shares CONFIG` reads the configured topics to their end and prints them as JSON.
"""

import json
import sys
import threading
from contextlib import closing
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import thread_time

from benchmarks.clocks import COMMON, clocked, shares_of
from detector.cli.options import InputOptions
from detector.cli.start import core_of
from detector.config import load
from detector.distributed.by_topic import by_topic
from detector.distributed.feed import feed_of
from detector.distributed.letters import Keeping
from detector.distributed.partitions import Partitions
from detector.distributed.routing import Router
from detector.inputs.kafka.run import run
from detector.shard.bundles import Bundles
from detector.store.redis.connect import store_at
from detector.store.redis.store import RedisStore

STILL_S = 2.0  # without a line, after which everything has been read
LOOK_S = 0.1
STAGES = [*COMMON, ("commit", RedisStore, "commit")]
ROUTES = ("route", Router, "process")


def shares(config: Path) -> dict[str, float]:
    """The share of each stage; `rest` is all else: Kafka's client, Faust, cutting and counting."""
    settings = load(config, {})
    core, feed = core_of(settings, None, InputOptions(), []), feed_of(settings)
    routed = "" if settings.input.keyed else settings.kafka.routed_topic
    stages = [*STAGES, ROUTES] if routed else STAGES
    with closing(store_at(settings.redis)) as store, clocked(stages, thread_time) as spent:
        partitions = Partitions(
            core,
            store,
            [],
            cache_sources=settings.redis.cache_sources,
            max_lines=settings.batch.max_lines,
            keeping=Keeping(settings.kafka.dead_letter_max_bytes, routed_topic=routed),
        )
        end = AtEnd(partitions)
        if routed:
            with by_topic(Bundles(core), feed, partitions, routed) as work:
                run(feed, work, end)
        else:
            run(feed, partitions, end)
    return shares_of(spent, end.cpu_s)


class AtEnd:
    """Ends a worker when no line has come for a while; knows what was used from the first to the last."""

    def __init__(self, partitions: Partitions) -> None:
        """Begin before the first line."""
        self._partitions, self._pause = partitions, threading.Event()
        self._lines = self._still = 0
        self._first_s = self.cpu_s = 0.0

    def wait(self, seconds: float) -> bool:
        """Whether everything has been read; asked ten times a second."""
        self._pause.wait(seconds)
        lines = sum(work.counts.lines for work in list(self._partitions.works.values()))
        self._still = self._still + 1 if lines == self._lines else 0
        self._lines = lines
        if lines and not self._first_s:
            self._first_s = _cpu_s()
        if not self._still:
            self.cpu_s = _cpu_s() - self._first_s
        return bool(lines) and self._still * LOOK_S > STILL_S


def _cpu_s() -> float:
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(json.dumps(shares(Path(sys.argv[1]))))
