"""What Kafka knows of topics, logs and groups, for commands that show or make them. Talks to Kafka.

Every function connects, asks and closes again; nothing joins a group. All of them raise Unavailable where no
broker answers, and BadSetup where a right is missing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.structs import OffsetAndMetadata

from detector.errors import BadSetup, Unavailable
from detector.inputs.kafka import faults
from detector.inputs.kafka.connection import Connection, client_options
from detector.inputs.kafka.faults import Doing
from detector.inputs.kafka.feed import Shard
from detector.inputs.kafka.reach import reach
from detector.inputs.kafka.undecided import note_of

ANSWER_MS = 10_000
WHOLE_S = 20.0  # for all that one call asks
AGAIN_S = 0.2
FIRST_S = 3.0  # for the first records of shards to come
FIRST_BYTES = 1 << 16  # of each of them

T = TypeVar("T")
C = TypeVar("C")


class Topic(msgspec.Struct, frozen=True):
    """A topic that is there."""

    name: str
    partitions: int
    replication: int
    settings: dict[str, str]  # empty where they are not for us to know


class Owner(msgspec.Struct, frozen=True):
    """A member of a group, as the broker knows it."""

    client: str
    host: str
    member: str


class Group(msgspec.Struct, frozen=True):
    """What a group does."""

    state: str  # Stable, Empty, Dead …
    members: int
    owners: dict[Shard, Owner]
    offsets: dict[Shard, int]  # next offsets, as committed


class Cluster(msgspec.Struct, frozen=True):
    """The brokers, and the topics among those asked for that are there."""

    brokers: int
    topics: dict[str, Topic]


def cluster(connection: Connection, names: Iterable[str]) -> Cluster:
    """The topics of these names, as far as they are there; none is made by asking."""

    async def asked(admin: AIOKafkaAdminClient) -> Cluster:
        brokers = (await admin.describe_cluster())["brokers"]
        wanted = set(names)
        # By name, brokers may make a topic that is asked for.
        there = {t["topic"]: t["partitions"] for t in await admin.describe_topics() if t["topic"] in wanted}
        topics = {
            name: Topic(name, len(parts), _replication(parts), await _settings(admin, name))
            for name, parts in sorted(there.items())
        }
        return Cluster(len(brokers), topics)

    return _ask(connection, asked)


def partitions(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has, as far as it is there."""

    async def asked(admin: AIOKafkaAdminClient) -> dict[str, int]:
        there = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        return {name: there[name] for name in names if name in there}

    return _ask(connection, asked)


def group(connection: Connection, name: str) -> Group:
    """Who is in a group and has which shard, and what it has committed."""

    async def asked(admin: AIOKafkaAdminClient) -> Group:
        while True:
            try:
                return await once(admin)
            except GroupAuthorizationFailedError as error:
                raise GroupAuthorizationFailedError(name) from error  # some say it in a sentence
            except KafkaError as error:
                # The first who asks for a group lets the brokers make the topic for it.
                if not error.retriable:
                    raise
                await asyncio.sleep(AGAIN_S)

    async def once(admin: AIOKafkaAdminClient) -> Group:
        # One at a time: aiokafka misreads an answer about two.
        [answer] = await admin.describe_consumer_groups([name])
        [(code, _, state, _, _, members, *_)] = answer.groups
        if code:
            raise for_code(code)(name)
        owners = {
            shard: Owner(client, host.removeprefix("/"), member)
            for member, client, host, _, assigned in members
            for shard in _assigned(assigned)
        }
        committed = await admin.list_consumer_group_offsets(name)
        offsets = {Shard(*part): at.offset for part, at in committed.items() if at.offset >= 0}
        return Group(state, len(members), owners, offsets)

    return _ask(connection, asked)


def logs(connection: Connection, shards: Iterable[Shard]) -> dict[Shard, range]:
    """The offsets from each log's start to its end, as far as they are committed."""
    return asyncio.run(logs_anew(connection, shards))


async def logs_anew(connection: Connection, shards: Iterable[Shard]) -> dict[Shard, range]:
    """The same for a loop that runs; no client that is there already is used."""

    async def asked(consumer: AIOKafkaConsumer) -> dict[Shard, range]:
        parts = [TopicPartition(*shard) for shard in shards]
        starts, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        return {Shard(*part): range(starts[part], ends[part]) for part in parts}

    return await _reading(connection, asked)


def first_times(connection: Connection, since: Mapping[Shard, int]) -> dict[Shard, int]:
    """The time in ms of each log's first record from an offset on; what does not come soon is left out."""

    async def asked(consumer: AIOKafkaConsumer) -> dict[Shard, int]:
        found: dict[Shard, int] = {}
        consumer.assign([TopicPartition(*shard) for shard in since])
        for shard, offset in since.items():
            consumer.seek(TopicPartition(*shard), offset)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                while len(found) < len(since):
                    for part, records in (await consumer.getmany(timeout_ms=500)).items():
                        found.setdefault(Shard(*part), records[0].timestamp)
                        consumer.pause(part)
        return found

    return _read(connection, asked) if since else {}


def begin_anew(
    connection: Connection, name: str, shard: Shard, start: Literal["latest", "earliest"] | datetime
) -> int:
    """Commit for a group without members where it is to begin; gives the next offset."""

    async def asked(consumer: AIOKafkaConsumer) -> int:
        part = TopicPartition(*shard)
        consumer.assign([part])
        found = await (consumer.beginning_offsets if start == "earliest" else consumer.end_offsets)([part])
        offset = int(found[part])
        if isinstance(start, datetime):
            at = (await consumer.offsets_for_times({part: round(start.timestamp() * 1000)}))[part]
            offset = offset if at is None else int(at.offset)
        await consumer.commit({part: OffsetAndMetadata(offset, note_of(time.time_ns() // 1_000_000, None))})
        return offset

    return _read(connection, asked, group_id=name)


def make(
    connection: Connection, name: str, *, partitions: int, replication: int, settings: Mapping[str, str]
) -> bool:
    """Make a topic; whether it was missing.

    Raises:
        BadSetup: the brokers do not make it so.
    """

    async def asked(admin: AIOKafkaAdminClient) -> bool:
        new = NewTopic(name, partitions, replication, topic_configs=dict(settings))
        answer = await admin.create_topics([new])
        [(_, code, *said)] = answer.topic_errors
        error = for_code(code)
        if error is TopicAlreadyExistsError:
            return False
        if code and not error.retriable and faults.refusal(error(name), connection, "CREATE") is None:
            problem = error(name, *said)
            raise BadSetup(f"Kafka at {connection.names} does not make topic {name}: {problem}")
        if code:
            raise error(name)
        return True

    return _ask(connection, asked, "CREATE")


def _replication(parts: list[dict[str, Any]]) -> int:
    return min((len(part["replicas"]) for part in parts), default=0)


async def _settings(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    [(code, _, _, _, entries)] = answer.resources
    # Who may read a topic need not be allowed to see how it is set up.
    return {} if code else {entry[0]: entry[1] or "" for entry in entries}


def _assigned(encoded: bytes) -> list[Shard]:
    """The shards of a member; one that has just joined has none yet."""
    if not encoded:
        return []
    return [Shard(*part) for part in ConsumerProtocolMemberAssignment.decode(encoded).partitions()]


def _ask(
    connection: Connection, work: Callable[[AIOKafkaAdminClient], Awaitable[T]], doing: Doing = "DESCRIBE"
) -> T:
    @asynccontextmanager
    async def opened() -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**client_options(connection), request_timeout_ms=ANSWER_MS)
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()

    return asyncio.run(_done(connection, opened, work, doing))


def _read(
    connection: Connection, work: Callable[[AIOKafkaConsumer], Awaitable[T]], group_id: str | None = None
) -> T:
    return asyncio.run(_reading(connection, work, group_id))


async def _reading(
    connection: Connection, work: Callable[[AIOKafkaConsumer], Awaitable[T]], group_id: str | None = None
) -> T:
    @asynccontextmanager
    async def opened() -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **client_options(connection),
            group_id=group_id,
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            request_timeout_ms=ANSWER_MS,
            max_partition_fetch_bytes=FIRST_BYTES,
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()

    return await _done(connection, opened, work, "READ")


async def _done(
    connection: Connection,
    opened: Callable[[], AbstractAsyncContextManager[C]],
    work: Callable[[C], Awaitable[T]],
    doing: Doing,
) -> T:
    """Connect, do the work and close, with every failure explained."""
    try:
        await reach(connection)
        async with asyncio.timeout(WHOLE_S), opened() as client:
            return await work(client)
    except TimeoutError as error:
        raise Unavailable(f"Kafka at {connection.names} has not answered in {WHOLE_S:.0f} s") from error
    except KafkaError as error:
        raise faults.explained(error, connection, doing) from error
    except OSError as error:
        raise Unavailable(f"Kafka at {connection.names} cannot be reached: {error}") from error
