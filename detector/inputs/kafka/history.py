"""What topics hold up to now, read once and as no member of a group. Talks to Kafka."""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from detector.errors import BadSetup, Unavailable
from detector.inputs.kafka import faults
from detector.inputs.kafka.asking import partitions
from detector.inputs.kafka.connection import Connection, client_options
from detector.inputs.kafka.feed import KafkaRecord, Shard, record_of
from detector.inputs.kafka.spans import Span

ANSWER_MS = 20_000
WAIT_MS = 500  # for the next records of one partition
STALL_S = 20.0  # that a partition may give nothing although there is something
FETCH_BYTES = 1 << 20  # held ready for each partition

Isolation = Literal["read_committed", "read_uncommitted"]
Records = Iterator[list[KafkaRecord]]
T = TypeVar("T")


@contextmanager
def opened(
    connection: Connection, spans: Sequence[Span], max_records: int, *, undecided: bool = False
) -> Iterator[list[tuple[Shard, Records]]]:
    """Every partition's records in batches, to be taken in any turn, in the thread that has opened them.

    What is `undecided` now, and behind that, is left out, or waited for.

    Raises:
        BadSetup: a topic is not there, or a right is missing.
        Unavailable: no broker answers, now or later.
    """
    counts = partitions(connection, [span.topic for span in spans])
    missing = [span.topic for span in spans if span.topic not in counts]
    if missing:
        topics = " and no topic ".join(missing)
        raise BadSetup(f"Kafka at {connection.names} has no topic {topics}: correct its name")
    loop = asyncio.new_event_loop()
    history = _History(loop, connection, max_records, undecided=undecided)
    try:
        yield [
            (shard, history.records(shard, wanted))
            for span in spans
            for shard, wanted in history.wanted(span, counts[span.topic]).items()
        ]
    finally:
        history.close()
        loop.close()


class _History:
    """A client for each partition, in a loop that only runs while somebody waits for records."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: Connection, max_records: int, *, undecided: bool
    ) -> None:
        self._loop, self._connection, self._max_records = loop, connection, max_records
        self._bounds: Isolation = "read_uncommitted" if undecided else "read_committed"
        self._consumers: dict[Shard, AIOKafkaConsumer] = {}

    def wanted(self, span: Span, count: int) -> dict[Shard, range]:
        """The offsets of a stretch that are there now."""
        return self._do(self._wanted(span, count))

    def records(self, shard: Shard, wanted: range) -> Records:
        """The records of a partition; marks of transactions are none."""
        if not wanted:
            return
        part, at, went_on_s = TopicPartition(*shard), wanted.start, time.monotonic()
        consumer = self._consumers[shard] = self._do(self._reading(part, at))
        while at < wanted.stop:
            found = self._do(consumer.getmany(part, timeout_ms=WAIT_MS, max_records=self._max_records))
            position = self._do(consumer.position(part))
            if position > at:
                at, went_on_s = position, time.monotonic()
            elif time.monotonic() - went_on_s > STALL_S:
                raise Unavailable(f"Kafka at {self._connection.names} gives nothing of {shard} from {at} on")
            yield [record_of(one) for one in found.get(part, []) if one.offset < wanted.stop]
        self._do(self._consumers.pop(shard).stop())

    def close(self) -> None:
        """Let go of what was not read to its end."""
        for consumer in self._consumers.values():
            self._do(consumer.stop())

    async def _reading(self, part: TopicPartition, offset: int) -> AIOKafkaConsumer:
        consumer = await self._opened("read_committed")
        consumer.assign([part])
        consumer.seek(part, offset)
        return consumer

    async def _opened(self, isolation: Isolation) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **client_options(self._connection),
            isolation_level=isolation,
            auto_offset_reset="none",
            enable_auto_commit=False,
            request_timeout_ms=ANSWER_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await consumer.start()
        return consumer

    async def _wanted(self, span: Span, count: int) -> dict[Shard, range]:
        parts = [TopicPartition(span.topic, number) for number in range(count)]
        consumer = await self._opened(self._bounds)
        try:
            starts, stops = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
            for time_ms, bounds in ((span.since_ms, starts), (span.until_ms, stops)):
                if time_ms is not None:
                    found = await consumer.offsets_for_times(dict.fromkeys(parts, time_ms))
                    bounds |= {part: stops[part] if at is None else at.offset for part, at in found.items()}
        finally:
            await consumer.stop()
        return {Shard(*part): range(starts[part], stops[part]) for part in parts}

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run_until_complete(work)
        except KafkaError as error:
            raise faults.explained(error, self._connection) from error
