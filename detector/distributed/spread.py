"""Says where a source of a topic is on several partitions. Talks to Redis, reads the monotonic clock.

Lines of a keyed topic are judged apart then; where they are routed, nobody knows their order.
Each partition has a small sample of its sources: those whose hashes are smallest, so that the samples of two
partitions with the same sources are the same. Now and then it is written down and compared with the others'.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from heapq import nsmallest
from itertools import islice
from typing import Final

import structlog

from detector.errors import Unavailable
from detector.metrics.committed import Committed
from detector.notify.console import printable
from detector.records import Line
from detector.store.redis.nodes import Nodes
from detector.store.redis.topics import HASH_BYTES, share_sample

LOOK_S = 10.0  # between two looks at a partition
LINES = 2_000  # looked at each time
SAMPLE = 64  # sources of a partition
AGAIN_S = 600.0  # before the same is said of a topic again
KEYED = (
    "a source is on several partitions, so that its lines are judged apart: key the topic by source, "
    "or set input.keyed = false"
)
ROUTED = (
    "a source is on several partitions, so that its lines are out of order where one is behind another: "
    "key the topic by source, file or host"
)

_log: Final = structlog.get_logger("shards")


class Spread:
    """The samples of one worker's partitions."""

    def __init__(
        self,
        nodes: Nodes,
        prefix: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        warning: str = KEYED,
        found: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with none: what others have written of these partitions is out of date.

        `found` is called at each look that finds a source elsewhere too.
        """
        self._nodes, self._prefix, self._clock = nodes, prefix, clock
        self._warning, self._found = warning, found
        self._samples: dict[str, dict[bytes, str]] = {}
        self._next_s: dict[str, float] = {}
        self._said_s: dict[str, float] = {}

    def note(self, committed: Committed) -> None:
        """Look at the sources of a commit, unless that was done a moment ago."""
        self.see(committed.shard, committed.batch.lines)

    def see(self, shard: str, lines: Sequence[Line]) -> None:
        """Look at the sources of a partition's lines, unless that was done a moment ago."""
        now_s = self._clock()
        if lines and now_s >= self._next_s.get(shard, now_s):
            self._next_s[shard] = now_s + LOOK_S
            self.look(shard, {line.source for line in islice(lines, LINES)})

    def look(self, shard: str, sources: Iterable[str]) -> None:
        """Add sources to the partition's sample, and compare it with those of the others."""
        found = self._samples.get(shard, {}) | {_hash(source): source for source in sources if source}
        sample = self._samples[shard] = {key: found[key] for key in nsmallest(SAMPLE, found)}
        topic, _, partition = shard.rpartition("-")
        try:
            others = share_sample(self._nodes, self._prefix, topic, int(partition), list(sample))
        except Unavailable:
            return  # the worker notices by itself; this is only looked at again
        for other, hashes in others.items():
            both = sample.keys() & hashes
            if both and other != int(partition):
                self._found()
                self._say(topic, sample[min(both)], sorted((int(partition), other)))
                return

    def _say(self, topic: str, source: str, partitions: list[int]) -> None:
        now_s = self._clock()
        if now_s < self._said_s.get(topic, now_s):
            return
        self._said_s[topic] = now_s + AGAIN_S
        _log.warning(self._warning, topic=topic, source=printable(source), partitions=partitions)


def _hash(source: str) -> bytes:
    return blake2b(source.encode("utf-8", "backslashreplace"), digest_size=HASH_BYTES).digest()
