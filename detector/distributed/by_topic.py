"""What a worker does with each topic: it routes those that are given, and works on the routed one. No I/O."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec

from detector.distributed.partitions import Partitions
from detector.distributed.routing import REREAD, Router, Seen
from detector.inputs.kafka.feed import Begin, Feed, PartitionBatch, Shard, Work
from detector.shard.bundles import Bundles


class ByTopic:
    """Two kinds of work in one group; `inputs.kafka.feed.Work`."""

    def __init__(self, partitions: Partitions, router: Router, routed_topic: str, bundles: Bundles) -> None:
        """Give the routed topic to the partitions, and all others to the router."""
        self._partitions, self._router, self._routed_topic = partitions, router, routed_topic
        self._bundles = bundles

    def fence(self, shard: Shard) -> int | None:
        """Where the shard has come to."""
        return self._of(shard).fence(shard)

    def begin(self, shard: Shard, begin: Begin) -> None:
        """Take the shard."""
        self._of(shard).begin(shard, begin)

    def process(self, batch: PartitionBatch) -> None:
        """Route a batch, or commit what it calls for."""
        self._router.use(self._bundles.newest())
        self._of(batch.shard).process(batch)

    def tick(self, shard: Shard, quiet_s: float) -> None:
        """The end of the log was reached."""
        self._of(shard).tick(shard, quiet_s)

    def stopped(self, shard: Shard, reason: str) -> None:
        """The shard cannot be read."""
        self._of(shard).stopped(shard, reason)

    def dropped(self, shards: frozenset[Shard]) -> None:
        """These shards are somebody else's."""
        ours = frozenset(shard for shard in shards if shard.topic == self._routed_topic)
        self._partitions.dropped(ours)
        self._router.dropped(shards - ours)

    def _of(self, shard: Shard) -> Work:
        return self._partitions if shard.topic == self._routed_topic else self._router


def routing_feed(feed: Feed, routed_topic: str) -> Feed:
    """The feed of a worker that routes the feed's topics, and reads what was routed."""
    return msgspec.structs.replace(
        feed, topics=(*feed.topics, routed_topic), whole=frozenset([routed_topic]), reread=REREAD
    )


@contextmanager
def by_topic(
    bundles: Bundles,
    feed: Feed,
    partitions: Partitions,
    routed_topic: str,
    seen: Seen = lambda _shard, _lines: None,
) -> Iterator[Work]:
    """The work on a `routing_feed`; `partitions` knows the routed topic, `seen` hears of lines to route."""
    noted = partitions.counts.get(routed_topic)
    count = None if noted is None else noted.now
    with closing(Router(bundles.newest(), feed, routed_topic, partitions.trials, count, seen)) as router:
        yield ByTopic(partitions, router, routed_topic, bundles)
