"""A router as a process of its own that kills itself (kill -9) in the middle of a transaction.

`python -m tests.router_process ADDRESS TOPIC ROUTED BUNDLE LOG SEED COMMIT POINT`: at a point of that commit;
It routes the lines of a log as if they lay in partition 0 of the topic, in batches cut by the seed.
"""

import os
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from aiokafka import AIOKafkaProducer

from detector.distributed.routing import REREAD, Router
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import Begin, Feed, KafkaRecord, PartitionBatch, Shard
from detector.inputs.kafka.forwarding import Forwarding, Message, Waiting
from detector.shard.core import Rules, build


class Dying(Forwarding):
    """Ends the process at a point of its nth commit."""

    commits: int
    point: str

    async def _send(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        self.commits -= 1
        self._die("before")
        await super()._send(producer, messages)
        self._die("sent")

    async def _commit(self, shard: Shard, waiting: Waiting) -> None:
        await super()._commit(shard, waiting)
        self._die("committed")

    def _die(self, point: str) -> None:
        if point == self.point and self.commits <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(
    address: str, topic: str, routed: str, bundle: str, log: str, seed: str, commit: str, point: str
) -> None:
    """Go on from the fence to the end, or to the death."""
    lines = Path(log).read_bytes().splitlines()
    records = [KafkaRecord(offset, 0, None, line, ()) for offset, line in enumerate(lines)]
    feed = Feed(connection=Connection(brokers=(address,)), group=f"{topic}-group", topics=(topic,))
    rng, shard, end = random.Random(int(seed)), Shard(topic, 0), len(records) - 1
    with closing(Router(build(Path(bundle), {}, Rules(), []), feed, routed)) as router:
        router._forwarding.close()
        router._forwarding = dying = Dying(feed, routed)
        dying.commits, dying.point = int(commit), point
        fence = router.fence(shard)
        after = -1 if fence is None else max(fence - REREAD, -1)
        router.begin(shard, Begin(after, fence))
        while after < end:
            last = min(after + rng.randrange(1, 300), end)
            router.process(
                PartitionBatch(shard, after, last, records[after + 1 : last + 1], at_end=last == end)
            )
            after = last
            if rng.random() < 0.8:  # else the next batch may share a transaction with this one
                dying.settle(shard)


if __name__ == "__main__":
    main(*sys.argv[1:])
