"""Writes to topics: opened when something is to be written, and anew after a failure. Talks to Kafka.

What `send` comes back from is on the brokers; what it raises from may be there in part, and is sent again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aiokafka import AIOKafkaProducer, errors

from detector.errors import BadRecord, BadSetup, Unavailable
from detector.inputs.kafka import faults
from detector.inputs.kafka.connection import Connection, client_options
from detector.words import counted

MAX_MESSAGE_BYTES = 1_000_000  # brokers take a little more unless told otherwise
BATCH_BYTES = 262_144  # of one partition, sent together
ANSWER_MS = 5_000  # for a broker's answer, and for a topic to be found
SEND_S = 10.0  # to connect and write; the client itself tries for ever while a broker is away
CLOSE_S = 0.5  # for each part of a client to end


Headers = tuple[tuple[str, bytes], ...]


class Message(NamedTuple):
    """One message to be written; the key decides the partition, unless that is named."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers = ()
    partition: int | None = None


Send = Callable[[Iterable[Message]], Awaitable[None]]
Put = Callable[[str, bytes, bytes, Headers], Awaitable[None]]  # topic, key, value, headers


class Producer:
    """A client that writes, for one event loop."""

    def __init__(self, connection: Connection) -> None:
        """Connect to nothing yet."""
        self._connection = connection
        self._client: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    async def send(self, messages: Iterable[Message]) -> None:
        """Write them, in this order within each partition; comes back when the brokers have all of them.

        Raises:
            Unavailable: Kafka cannot be reached, or takes nothing now.
            BadSetup: a right or a login is missing, or a partition that is named is not there.
            BadRecord: a message is larger than its topic takes.
        """
        client = None
        try:
            async with asyncio.timeout(SEND_S):
                client = await self._opened()
                await asyncio.gather(*[await _begun(client, one) for one in messages])
        except errors.MessageSizeTooLargeError as error:
            await self._give_up(client)
            raise BadRecord("a message is larger than its topic takes (max.message.bytes)") from error
        except TimeoutError as error:
            await self._give_up(client)
            names = self._connection.names
            raise Unavailable(f"Kafka at {names} has not taken what was sent in {SEND_S:.0f} s") from error
        except (errors.KafkaError, OSError) as error:
            # After an error the client may have given up the order of what it sends.
            await self._give_up(client)
            told = faults.explained(error, self._connection, "WRITE")
            if isinstance(told, BadSetup | Unavailable):
                raise told from error
            raise Unavailable(f"Kafka at {self._connection.names} cannot be reached: {error}") from error

    async def close(self) -> None:
        """Give the connections back; what somebody still sends is given up."""
        await self._give_up(self._client)

    async def _give_up(self, client: AIOKafkaProducer | None) -> None:
        """Let the next to send open another client; who sends meanwhile may have done so already."""
        if client is None:
            return
        if self._client is client:
            self._client = None
        await _end(client)

    async def _opened(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._client is None:
                client = AIOKafkaProducer(
                    **client_options(self._connection),
                    acks="all",
                    enable_idempotence=True,  # what a broker has got twice, it keeps once and in order
                    compression_type="lz4",
                    max_batch_size=BATCH_BYTES,
                    max_request_size=MAX_MESSAGE_BYTES,
                    request_timeout_ms=ANSWER_MS,
                )
                try:
                    await client.start()
                except BaseException:
                    await _end(client)
                    raise
                self._client = client
            return self._client


async def _end(client: AIOKafkaProducer) -> None:
    """Close a client whatever it still has to send: its own `stop` waits for as long as a broker is away."""
    client._closed = True  # noqa: SLF001  (it would warn that it was not closed)
    sending = client._sender.sender_task  # noqa: SLF001
    if sending is not None:
        sending.cancel()  # else it would send after all, behind what the next client sends
        await _over(sending)
    await _over(client.client.close())


async def _over(ending: Awaitable[object]) -> None:
    """Wait for an end, but not for long; those who wait for messages were told what went wrong."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await asyncio.gather(ending, return_exceptions=True)


async def _begun(client: AIOKafkaProducer, one: Message) -> asyncio.Future[object]:
    """What ends when the broker has the message."""
    if one.partition is not None:
        there = await client.partitions_for(one.topic)
        if one.partition not in there:
            has = counted(len(there), "partition")
            raise BadSetup(f"there is no partition {one.topic}-{one.partition}: topic {one.topic} has {has}")
    sent: asyncio.Future[object] = await client.send(
        one.topic, one.value, one.key, partition=one.partition, headers=list(one.headers)
    )
    sent.add_done_callback(_look_at)
    return sent


def _look_at(sent: asyncio.Future[object]) -> None:
    """Take note of how it ended: where one fails, nobody waits for the others."""
    if not sent.cancelled():
        sent.exception()


@asynccontextmanager
async def producing(connection: Connection) -> AsyncIterator[Send]:
    """The function that writes to topics, for the event loop that calls."""
    producer = Producer(connection)
    try:
        yield producer.send
    finally:
        await producer.close()


@asynccontextmanager
async def putting(connection: Connection) -> AsyncIterator[Put]:
    """The same for those who know no messages: one at a time."""
    async with producing(connection) as send:

        async def put(topic: str, key: bytes, value: bytes, headers: Headers) -> None:
            await send([Message(topic, key, value, headers)])

        yield put
