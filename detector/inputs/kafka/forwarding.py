"""Forwards to one topic in transactions, one producer for each shard. Talks to Kafka, in a thread of its own.

What is sent for a shard and how far it was read are committed together. Whoever opens a shard ends what the
one before it had begun there, and fences it.
"""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    ProducerFenced,
    TopicAuthorizationFailedError,
)
from aiokafka.partitioner import murmur2
from aiokafka.structs import OffsetAndMetadata

from detector.errors import Fenced, Unavailable
from detector.inputs.kafka import faults
from detector.inputs.kafka.connection import client_options
from detector.inputs.kafka.feed import Feed, Shard
from detector.inputs.kafka.undecided import Forwarded, Place, forwarded, note_of

COMMIT_S = 30.0  # for one transaction
MOST_WAITING = 64  # messages for one shard, which are packs of lines, before the next ones wait
DROP_S = 3.0  # for a transaction to be done when its shard goes
CLOSE_S = 1.0  # for a producer to let go, and for all of this when the worker ends
TRANSACTION_MS = 60_000  # after which the broker ends what nobody ends
BATCH_BYTES = 1 << 18  # sent to one partition at once, as far as there is so much
USUAL_MESSAGE_BYTES = 1_000_000  # of a topic that does not say what it takes
MAX_MESSAGE = "max.message.bytes"
REFUSED = (TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno)
OVERHEAD_BYTES = 1_024  # of a message, beside its key, value and headers, and of the batch that it is in
PACKED = 4_096  # packing what cannot be packed adds a byte to so many, and often less
HASHED, HASHED_BYTES = 1 << 16, 1 << 10  # keys whose partition is remembered, and the longest of them

_log: Final = structlog.get_logger("router")
T = TypeVar("T")


class Message(NamedTuple):
    """What is sent."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(slots=True)
class Waiting:
    """What is to be committed next for a shard."""

    messages: list[Message]
    last: int
    again_ms: int | None


class Answer(NamedTuple):
    """What a broker says of a topic's settings."""

    code: int  # of an error, 0 where there is none
    message: str | None
    entries: Sequence[Sequence[Any]]  # name, value and more of each; now and then none of a topic just made


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Kafka's own producers choose it."""
    return _remembered(key, partitions) if len(key) <= HASHED_BYTES else _hashed(key, partitions)


@lru_cache(HASHED)
def _remembered(key: bytes, partitions: int) -> int:
    return _hashed(key, partitions)


def _hashed(key: bytes, partitions: int) -> int:
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def room(max_message_bytes: int) -> int:
    """The bytes that a message's key, value and headers may take, where a topic takes so much."""
    return max_message_bytes - OVERHEAD_BYTES - max_message_bytes // PACKED


class Forwarding:
    """The producers of one worker's shards."""

    def __init__(self, feed: Feed, topic: str) -> None:
        """Connect to nothing yet."""
        self._feed, self._topic = feed, topic
        self.group = f"{feed.group}-router"  # its offsets are the fences
        self.partitions = 0  # of the topic, known once a shard is open
        self.max_message_bytes, self._asks = USUAL_MESSAGE_BYTES, True
        self._producers: dict[Shard, AIOKafkaProducer] = {}
        self._lock = threading.Lock()  # of what waits to be committed, and of who sees to it
        self._waiting: dict[Shard, Waiting] = {}
        self._runs: dict[Shard, concurrent.futures.Future[None]] = {}
        self._began_s: dict[Shard, float] = {}  # of the commit in hand
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-router", daemon=True)
        self._thread.start()

    def open(self, shard: Shard) -> Forwarded:
        """Fence who had the shard before; how far it was forwarded.

        Raises:
            Unavailable: Kafka does not answer, or leaves undecided how far that is.
            BadSetup: a right is missing.
        """
        return self._do(self._open(shard), self._feed.begin_timeout_s)

    def commit(
        self, shard: Shard, messages: Sequence[Message], last: int, again_ms: int | None = None
    ) -> None:
        """Send the messages, in this order for each partition, and note `last` as forwarded: all or nothing.

        With `again_ms` it stays noted that lines behind it may be there already, since that time.
        Comes back before that is done. What comes meanwhile goes together in the next transaction; where that
        grows too large it is waited for.

        Raises:
            Fenced: somebody else has opened the shard.
            Unavailable: Kafka does not answer; whether it was done shows when the shard is opened again.
        """
        self.check(shard)
        with self._lock:
            waiting = self._waiting.setdefault(shard, Waiting([], last, again_ms))
            waiting.messages.extend(messages)
            waiting.last, waiting.again_ms = last, again_ms
            if shard not in self._runs:
                self._began_s[shard] = time.monotonic()
                self._runs[shard] = asyncio.run_coroutine_threadsafe(self._run(shard), self._loop)
        if len(waiting.messages) > MOST_WAITING:
            self.settle(shard)

    def check(self, shard: Shard) -> None:
        """Hear whether what was to be committed for a shard has failed, or takes too long; as `commit`."""
        run = self._runs.get(shard)
        if run is not None and (run.done() or time.monotonic() - self._began_s[shard] > COMMIT_S):
            self._result(run, 0.0)

    def settle(self, shard: Shard) -> None:
        """Wait until everything is committed for the shard; raises what `commit` does."""
        run = self._runs.get(shard)
        if run is not None:
            self._result(run, COMMIT_S)

    def drop(self, shards: Iterable[Shard]) -> None:
        """Let go of shards. A commit that does not end soon may be done or not: whoever is next finds out."""
        self._let_go([shard for shard in shards if shard in self._producers], DROP_S, COMMIT_S)

    def close(self) -> None:
        """Let go of everything, and end the thread; what hangs is left alone, for whoever is next."""
        with suppress(Unavailable):
            self._let_go(list(self._producers), CLOSE_S / 3, CLOSE_S / 3)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S / 3)
        if not self._thread.is_alive():
            self._loop.close()

    def _let_go(self, shards: list[Shard], commit_s: float, close_s: float) -> None:
        runs = [self._runs[shard] for shard in shards if shard in self._runs]
        concurrent.futures.wait(runs, timeout=commit_s)
        for run in runs:
            run.cancel()
        self._do(self._close(shards), close_s)

    def _do(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        return self._result(asyncio.run_coroutine_threadsafe(work, self._loop), timeout_s)

    def _result(self, done: "concurrent.futures.Future[T]", timeout_s: float) -> T:
        try:
            return done.result(timeout_s)
        except concurrent.futures.TimeoutError:
            done.cancel()
            names = self._feed.connection.names
            raise Unavailable(f"Kafka at {names} has not answered the router for {timeout_s:.0f} s") from None
        except ProducerFenced as error:
            raise Fenced("another worker has taken a partition that is forwarded here: ending") from error
        except KafkaError as error:
            raise faults.explained(error, self._feed.connection, "WRITE") from error

    async def _open(self, shard: Shard) -> Forwarded:
        await self._close([shard])
        if self._asks:
            await self._ask_max_message_bytes()
        producer = self._producers[shard] = AIOKafkaProducer(
            **client_options(self._feed.connection),
            transactional_id=f"{self.group}-{shard.topic}-{shard.partition}",
            transaction_timeout_ms=TRANSACTION_MS,
            compression_type="lz4",
            max_batch_size=min(BATCH_BYTES, room(self.max_message_bytes)),
            max_request_size=self.max_message_bytes,
        )
        await producer.start()
        self.partitions = len(await producer.partitions_for(self._topic))
        part = TopicPartition(*shard)
        place = Place(self._feed.connection, self.group, part, self._topic, self.partitions)
        return await forwarded(producer, place)

    async def _ask_max_message_bytes(self) -> None:
        """Learn what the topic takes; where it is not said we ask again, unless it is not for us to know."""
        answer = await self._topic_settings()
        values = [int(entry[1]) for entry in answer.entries if entry[0] == MAX_MESSAGE]
        if answer.code or not values:
            _log.info(
                "the topic does not say how large a message may be",
                topic=self._topic, code=answer.code, reason=answer.message,
            )  # fmt: skip
        else:
            self.max_message_bytes = values[0]
        self._asks = not values and answer.code not in REFUSED

    async def _topic_settings(self) -> Answer:
        admin = AIOKafkaAdminClient(**client_options(self._feed.connection))
        try:
            await admin.start()
            asked = ConfigResource(ConfigResourceType.TOPIC, self._topic, configs={MAX_MESSAGE: ""})
            [answer] = await admin.describe_configs([asked])
        finally:
            await admin.close()
        [(code, message, _, _, entries)] = answer.resources
        return Answer(code, message, entries)

    async def _run(self, shard: Shard) -> None:
        """Commit what waits for a shard until nothing does."""
        while True:
            with self._lock:
                waiting = self._waiting.pop(shard, None)
                if waiting is None:
                    del self._runs[shard]
                    return
            self._began_s[shard] = time.monotonic()
            await self._commit(shard, waiting)

    async def _commit(self, shard: Shard, waiting: Waiting) -> None:
        producer = self._producers[shard]
        note = note_of(time.time_ns() // 1_000_000, waiting.again_ms)
        await producer.begin_transaction()
        await self._send(producer, waiting.messages)
        position = {TopicPartition(*shard): OffsetAndMetadata(waiting.last + 1, note)}
        await producer.send_offsets_to_transaction(position, self.group)
        await producer.commit_transaction()

    async def _send(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        sent: list[asyncio.Future[Any]] = []
        builders: dict[int, Any] = {}
        time_ms = time.time_ns() // 1_000_000
        for partition, key, value, headers in messages:
            builder = builders.get(partition)
            if builder is not None and None is not builder.append(
                timestamp=time_ms, key=key, value=value, headers=headers
            ):
                continue
            if builder is not None:
                sent.append(await producer.send_batch(builder, self._topic, partition=partition))
            builder = builders[partition] = producer.create_batch()
            builder.append(timestamp=time_ms, key=key, value=value, headers=headers)  # always fits
        for partition, builder in builders.items():
            sent.append(await producer.send_batch(builder, self._topic, partition=partition))
        for one in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(one, BaseException):
                raise one

    async def _close(self, shards: Sequence[Shard]) -> None:
        for shard in shards:
            self._waiting.pop(shard, None)
            self._runs.pop(shard, None)
        producers = [self._producers.pop(shard) for shard in shards if shard in self._producers]
        await asyncio.gather(*(_stop(producer) for producer in producers))


async def _stop(producer: AIOKafkaProducer) -> None:
    """Close a producer; one that cannot reach its broker is left alone: what it had begun is ended for it."""
    with suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(CLOSE_S):
            await producer.stop()
    # What failed was raised where it was sent; asyncio would print it once more, as nobody awaits this end.
    end = producer._txn_manager.wait_for_transaction_end()  # noqa: SLF001
    if end is not None and end.done() and not end.cancelled():
        end.exception()
