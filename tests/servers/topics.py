"""Topics of the tests' broker: make them, write to them, cut them. Talks to the broker."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import repeat

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

Message = tuple[bytes | None, bytes, list[tuple[str, bytes]]]

READ_S = 30.0  # deadline for what is known to be there


def create(address: str, topic: str, partitions: int = 1, **config: str) -> None:
    """Make a topic, and come back when the broker knows it; `retention_ms="1"` sets `retention.ms`."""
    settings = {name.replace("_", "."): value for name, value in config.items()}

    async def made() -> None:
        async with admin_of(address) as admin:
            await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
            await _known(admin, topic, partitions)

    asyncio.run(made())


async def _known(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> None:
    """Wait until its partitions have a leader and its settings can be asked for."""
    while True:
        [described] = await admin.describe_topics([topic])
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        [(code, *_)] = answer.resources
        led = [partition["leader"] >= 0 for partition in described["partitions"]]
        if not described["error_code"] and code == 0 and led == [True] * partitions:
            return
        await asyncio.sleep(0.01)


def delete(address: str, topic: str) -> None:
    """Remove a topic, and come back when it is gone."""

    async def gone() -> None:
        async with admin_of(address) as admin:
            await admin.delete_topics([topic])
            while topic in await admin.list_topics():  # noqa: ASYNC110  (nobody tells us)
                await asyncio.sleep(0.01)

    asyncio.run(gone())


def widen(address: str, topic: str, partitions: int) -> None:
    """Give a topic more partitions, and come back when the broker knows them."""

    async def widened() -> None:
        async with admin_of(address) as admin:
            await admin.create_partitions({topic: NewPartitions(partitions)})
            await _known(admin, topic, partitions)

    asyncio.run(widened())


def delete_before(address: str, topic: str, partition: int, offset: int) -> None:
    """Remove the records before an offset, as retention does."""

    async def cut() -> None:
        async with admin_of(address) as admin:
            await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(offset)})

    asyncio.run(cut())


def produce(
    address: str,
    topic: str,
    values: Iterable[bytes],
    *,
    partition: int = 0,
    compression: str | None = None,
    times_ms: Iterable[int] | None = None,
) -> None:
    """Write records, with the time of each where it is not now, and come back when the broker has them."""
    at_ms: Iterable[int | None] = repeat(None) if times_ms is None else times_ms

    async def written() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=address, compression_type=compression, linger_ms=5)
        await producer.start()
        try:
            sent = [
                await producer.send(topic, value, partition=partition, timestamp_ms=time_ms)
                for value, time_ms in zip(values, at_ms, strict=False)
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    asyncio.run(written())


def write(address: str, topic: str, messages: Iterable[Message], *, partition: int = 0) -> None:
    """Write messages with keys and headers, and come back when the broker has them."""

    async def written() -> None:
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for key, value, headers in messages:
                await producer.send_and_wait(topic, value, key, partition=partition, headers=headers)

    asyncio.run(written())


def records(address: str, topic: str, *, partition: int = 0) -> list[ConsumerRecord]:
    """Every record that a partition holds."""

    async def read() -> list[ConsumerRecord]:
        async with AIOKafkaConsumer(bootstrap_servers=address, isolation_level="read_committed") as consumer:
            at = TopicPartition(topic, partition)
            consumer.assign([at])
            await consumer.seek_to_beginning(at)
            end, found = (await consumer.end_offsets([at]))[at], list[ConsumerRecord]()
            while await consumer.position(at) < end:
                found += (await consumer.getmany(timeout_ms=100)).get(at, [])
            return found

    return asyncio.run(asyncio.wait_for(read(), READ_S))


def consume(address: str, topic: str, count: int, *, partition: int = 0) -> list[bytes]:
    """The first records that a partition still holds."""

    async def read() -> list[bytes]:
        consumer = AIOKafkaConsumer(bootstrap_servers=address)
        await consumer.start()
        try:
            at = TopicPartition(topic, partition)
            consumer.assign([at])
            await consumer.seek_to_beginning(at)
            return [(await consumer.getone()).value for _ in range(count)]
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(read(), READ_S))


def offsets_of(address: str, topic: str, partition: int = 0) -> list[int]:
    """The offsets that a partition still holds a record at."""

    async def read() -> list[int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=address)
        await consumer.start()
        found = []
        try:
            at = TopicPartition(topic, partition)
            consumer.assign([at])
            await consumer.seek_to_beginning(at)
            end = (await consumer.end_offsets([at]))[at]
            while await consumer.position(at) < end:
                batches = await consumer.getmany(at, timeout_ms=500)
                found += [record.offset for record in batches.get(at, [])]
            return found
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(read(), READ_S))


def log_of(address: str, topic: str, partition: int = 0) -> range:
    """The offsets from the log's start to its end."""

    async def asked() -> range:
        consumer = AIOKafkaConsumer(bootstrap_servers=address)
        await consumer.start()
        try:
            at = TopicPartition(topic, partition)
            start, end = await consumer.beginning_offsets([at]), await consumer.end_offsets([at])
            return range(start[at], end[at])
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(asked(), READ_S))


def ends(address: str, topic: str, partitions: int) -> dict[tuple[str, int], int]:
    """The next offset of every partition, as far as it is committed."""

    async def asked() -> dict[tuple[str, int], int]:
        async with AIOKafkaConsumer(bootstrap_servers=address, isolation_level="read_committed") as consumer:
            parts = [TopicPartition(topic, partition) for partition in range(partitions)]
            found = await consumer.end_offsets(parts)
        return {(at.topic, at.partition): end for at, end in found.items()}

    return asyncio.run(asyncio.wait_for(asked(), READ_S))


def committed(address: str, group: str, topic: str, partition: int = 0) -> int | None:
    """The offset that a group has been told, for lag monitors; None while nobody knows of the group."""

    async def asked() -> int | None:
        async with admin_of(address) as admin:
            try:
                found = await admin.list_consumer_group_offsets(group)
            except KafkaError:  # it has just come up, or gets no CPU
                return None
        at = found.get(TopicPartition(topic, partition))
        return None if at is None else int(at.offset)

    return asyncio.run(asked())


def all_committed(address: str, group: str) -> dict[tuple[str, int], int]:
    """The offset that a group has been told of every partition."""

    async def asked() -> dict[tuple[str, int], int]:
        async with admin_of(address) as admin:
            found = await admin.list_consumer_group_offsets(group)
        return {(at.topic, at.partition): int(one.offset) for at, one in found.items()}

    return asyncio.run(asyncio.wait_for(asked(), READ_S))


def members(address: str, group: str) -> int:
    """How many members share a group's partitions, 0 while these are being given out or nobody knows."""

    async def asked() -> int:
        async with admin_of(address) as admin:
            try:
                (answer,) = await admin.describe_consumer_groups([group])
            except KafkaError:  # it has just come up, or gets no CPU
                return 0
        ((_, _, state, _, _, found, *_),) = answer.groups
        return len(found) if state == "Stable" else 0

    return asyncio.run(asked())


@asynccontextmanager
async def admin_of(address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for what is done to topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def read_committed(address: str, topic: str, partitions: int = 1) -> list[ConsumerRecord]:
    """Everything in a topic that is committed by now, partition by partition."""

    async def read() -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(bootstrap_servers=address, isolation_level="read_committed")
        await consumer.start()
        try:
            parts = [TopicPartition(topic, partition) for partition in range(partitions)]
            consumer.assign(parts)
            await consumer.seek_to_beginning(*parts)
            ends = await consumer.end_offsets(parts)
            found: dict[TopicPartition, list[ConsumerRecord]] = {part: [] for part in parts}
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for part, records in (await consumer.getmany(timeout_ms=100)).items():
                    found[part] += records
            return [record for part in parts for record in found[part]]
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(read(), READ_S))
