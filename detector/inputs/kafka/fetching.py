"""The client under Faust: reads, seeks and asks, in Faust's consumer thread. Talks to Kafka.

Faust builds the client with settings that we may not use (fetch wait, isolation level), so it is built here.
"""

import asyncio
import concurrent.futures
from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import aiokafka
from aiokafka import TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import ConsumerStoppedError, TopicAuthorizationFailedError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from mode.threads import WorkerThread

from detector.inputs.kafka.connection import client_options
from detector.inputs.kafka.feed import Shard

if TYPE_CHECKING:
    from detector.inputs.kafka.member import Member

FETCH_WAIT_MS = 500  # how long the broker holds an answer while nothing comes
T = TypeVar("T")


class Fetched(NamedTuple):
    """What one fetch gave of one partition."""

    shard: Shard
    before: int  # the next offset before it, and after it
    position: int
    records: list[ConsumerRecord]
    end: int | None  # of the log for those who read committed records; None before the first answer
    stamp: int | None  # changes with every answer of the broker


class Daemon(WorkerThread):
    """A thread that does not keep a process alive that has given it up."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Let it end with the process."""
        super().__init__(*arguments, **options)
        self.daemon = True


class FetchThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, with a client of ours in it."""

    Worker = Daemon
    member: "Member"  # set by the consumer

    async def on_start(self) -> None:
        """Start the client, and say so."""
        await super().on_start()
        self.member.say_started(self)

    def _create_worker_consumer(self, _transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf, feed = self.app.conf, self.member.feed
        self._assignor = RoundRobinPartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            group_id=conf.id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_records=feed.max_lines,
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            metadata_max_age_ms=int(feed.metadata_max_age_s * 1000),
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(feed.session_timeout_s * 1000),
            rebalance_timeout_ms=int(feed.rebalance_timeout_s * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            **client_options(feed.connection),
        )

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something with the client, in its thread.

        Raises:
            ConsumerStoppedError: the thread ended meanwhile.
        """
        asked: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(work, self.thread_loop)
        try:
            return await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # it is us who are to end
            raise ConsumerStoppedError from None

    async def fetch(self, max_records: int, timeout_s: float) -> list[Fetched]:
        """Read on: every partition that is read, with what came of it.

        Raises:
            OffsetOutOfRangeError: retention or a new topic went past what was to be read.
        """
        consumer = self._ensure_consumer()
        fetcher, subscription = consumer._fetcher, consumer._subscription.subscription  # noqa: SLF001
        if consumer._closed or fetcher._closed:  # noqa: SLF001
            raise ConsumerStoppedError
        if subscription is None or subscription.assignment is None:
            await asyncio.sleep(timeout_s)
            return []
        assignment = subscription.assignment
        states = {tp: assignment.state_value(tp) for tp in assignment.tps}
        before = {tp: state.position for tp, state in states.items() if state.has_valid_position}
        with fetcher._subscriptions.fetch_context():  # noqa: SLF001
            records = await fetcher.fetched_records([], timeout=timeout_s, max_records=max_records)
        return [
            Fetched(
                Shard(tp.topic, tp.partition),
                position,
                states[tp].position,
                records.get(tp, []),
                states[tp].lso,
                states[tp].timestamp,
            )
            for tp, position in before.items()
            if assignment.active and states[tp].has_valid_position
        ]

    async def check(self) -> None:
        """Take what the client has to say of the group, after which it goes on, and of the topics.

        Raises:
            KafkaError: such as a right that was taken away.
        """
        consumer = self._ensure_consumer()
        consumer._coordinator.check_errors()  # noqa: SLF001
        refused = consumer._client.cluster.unauthorized_topics  # noqa: SLF001
        # The client forgets their partitions, and asks for no records any more that could be refused.
        if refused:
            raise TopicAuthorizationFailedError(refused)

    async def logs(self, shards: Iterable[Shard]) -> dict[Shard, range]:
        """The offsets from each log's start to its end, as far as they are committed."""
        consumer = self._ensure_consumer()
        parts = [TopicPartition(*shard) for shard in shards]
        starts, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        return {Shard(*part): range(starts[part], ends[part]) for part in parts}

    async def first_since(self, shards: Iterable[Shard], time_ms: int) -> dict[Shard, int | None]:
        """The first offset of each log whose record is not older; None where none is."""
        parts = {TopicPartition(*shard): time_ms for shard in shards}
        found = await self._ensure_consumer().offsets_for_times(parts)
        return {Shard(*part): None if at is None else at.offset for part, at in found.items()}

    async def hinted(self, shards: Iterable[Shard]) -> set[Shard]:
        """The shards that the group was told of, so that somebody had begun them."""
        consumer = self._ensure_consumer()
        told = {shard: await consumer.committed(TopicPartition(*shard)) for shard in shards}
        return {shard for shard, offset in told.items() if offset is not None}

    async def go_to(self, positions: Mapping[Shard, int], skipped: Iterable[Shard]) -> None:
        """Read from these offsets on, and leave the skipped ones alone."""
        consumer = self._ensure_consumer()
        for shard, position in positions.items():
            part = TopicPartition(*shard)
            consumer.seek(part, position)
            # What was fetched from the group's offset, or failed there, is not ours.
            consumer._fetcher._records.pop(part, None)  # noqa: SLF001
        consumer.pause(*(TopicPartition(*shard) for shard in skipped))

    async def hint(self, offsets: Mapping[Shard, int]) -> None:
        """Tell the group how far we are."""
        told = {TopicPartition(*shard): OffsetAndMetadata(at, "") for shard, at in offsets.items()}
        await self._ensure_consumer().commit(told)
