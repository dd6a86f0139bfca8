"""Faust's consumer, changed in three places: what it reads at once, where it begins, what it acknowledges.

Reads Kafka. Runs in Faust's main loop; the client works in a thread of its own (`fetching`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiokafka.errors import NoOffsetForPartitionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from detector.inputs.kafka.cutting import cut
from detector.inputs.kafka.feed import PartitionBatch, record_of
from detector.inputs.kafka.fetching import Fetched, FetchThread
from detector.inputs.kafka.member import Member

FETCH_S = 0.5  # how long one fetch waits for records
CLOSED_S = 0.02  # how often to look again while shards are being given out


class Listener(driver.ConsumerRebalanceListener):
    """Hears of a rebalance in the client's thread, before anything else does."""

    _thread: FetchThread

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> Any:
        """Close the gate: what is fetched or queued now belongs to an assignment that is over."""
        self._thread.member.lanes.rebalances += 1
        return super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Note that the group has said what is ours."""
        lanes = self._thread.member.lanes
        lanes.given = lanes.rebalances
        await super().on_partitions_assigned(assigned)


class Consumer(driver.Consumer):
    """Hands over one message for each partition and fetch; its value is a PartitionBatch."""

    RebalanceListener = Listener
    member: Member  # set by the app, on a class of its own
    _thread: FetchThread

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin with nothing assigned."""
        super().__init__(*arguments, **options)
        self._no_fetch = asyncio.Event()  # no fetch is under way
        self._no_fetch.set()

    def _new_consumer_thread(self) -> FetchThread:
        thread = FetchThread(self, loop=self.loop, beacon=self.beacon)
        thread.member = self.member
        return thread

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109
        """Fetch once, and cut what came into batches.

        The base's generation is read after the fetch, and it drops chunks where it does not fit.
        """
        lanes, feed = self.member.lanes, self.member.feed
        if not lanes.is_open:
            await asyncio.sleep(CLOSED_S)
            return
        rebalances, ready = lanes.rebalances, []
        self._no_fetch.clear()
        try:
            fetched = await self._thread.call_thread(
                self._thread.fetch, feed.max_lines, min(timeout, FETCH_S)
            )
            if lanes.rebalances == rebalances:
                ready = [batch for one in fetched for batch in self._batches(one)]
        except NoOffsetForPartitionError:
            # A fetch that waits while shards are given out may look where the group was, which is nowhere.
            if lanes.rebalances == rebalances:
                raise
        finally:
            self._no_fetch.set()
        for batch in ready:
            yield TP(*batch.shard), _message(batch, rebalances, self.app.consumer_generation_id)

    def _batches(self, fetched: Fetched) -> Iterable[PartitionBatch]:
        """What is to be processed of one partition's fetch."""
        lanes, feed = self.member.lanes, self.member.feed
        lane = lanes.lanes.get(fetched.shard)
        if lane is None:
            return
        if fetched.before != lane.position:
            self.member.lose_place(
                f"{fetched.shard}: read from {fetched.before} on in place of {lane.position}"
            )
            return
        lane.position = fetched.position
        if fetched.end is not None:
            lane.hear(fetched.end, fetched.stamp, time.monotonic())
        if not fetched.records:
            return
        records = [record_of(message) for message in fetched.records]
        for batch in cut(
            fetched.shard,
            lane.handed,
            fetched.position - 1,
            records,
            at_end=fetched.position >= lane.end,
            max_lines=feed.max_lines,
            max_bytes=feed.max_bytes,
        ):
            lanes.queue(batch)
            yield batch

    async def perform_seek(self) -> None:
        """Begin every assigned shard at its fence; Faust would go to the group's offsets.

        Faust resumes the flow when this returns, and not before.
        """
        await self._no_fetch.wait()
        await self.member.begin(self.assignment(), self._thread)
        self._read_offset.clear()  # else Faust drops what lies before it

    def on_buffer_full(self, tp: TP) -> None:
        """Leave it active: the queue's bound holds reading back, and Faust would sleep for a second."""

    def on_buffer_drop(self, tp: TP) -> None:
        """The same."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's guesses at what is slow assume its own commits; the watchdog looks after progress."""


def _message(batch: PartitionBatch, rebalances: int, generation: int) -> ConsumerMessage:
    """A message that carries a batch, and says for which assignment."""
    value: Any = (rebalances, batch)
    return ConsumerMessage(
        topic=batch.shard.topic,
        partition=batch.shard.partition,
        offset=batch.after + 1,
        timestamp=0.0,
        timestamp_type=0,
        headers=None,
        key=None,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        tp=TP(*batch.shard),
        generation_id=generation,  # else Faust's stream drops it without a word
    )
