"""Reads how far a shard was forwarded, and takes back what Kafka has left undecided there. Talks to Kafka.

Kafka 4.3.1 can note a transaction as ended and mark its end nowhere: it marks it in the partitions that have
a leader at that instant, and takes the others for deleted. A broker that died before the marks comes back to
that instant. What the transaction holds then stays undecided for ever, and nobody reads past it.

In a log, brokers tell transactions apart by their producer alone, and that of a shard is the same for whoever
opens it. So one of ours in the same partitions that is taken back takes the lost one back too. What that has
in partitions that were marked may be visible all the same: so before that we note beside the offset that
lines behind it may be there already. Who forwards the shard looks for those until it is past them. None of
this depends on how the lost one was decided, and every step may be cut off, and done again, by anybody.
"""

import asyncio
from typing import Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from detector.errors import Unavailable
from detector.inputs.kafka.connection import Connection, client_options
from detector.inputs.kafka.stable import Offset, Undecided, committed

LOST_S = 2.0  # a transaction is noted as ended once its end is marked: what is open after that stays open
ENDED_S = 5.0  # for the end of ours to be marked
AGAIN = "again "

_log: Final = structlog.get_logger("router")


class Place(NamedTuple):
    """A shard, and where it is forwarded to."""

    connection: Connection
    group: str
    part: TopicPartition
    topic: str
    partitions: int


class Forwarded(NamedTuple):
    """How far a shard was forwarded."""

    fence: int | None  # the last offset, None before the first
    again_ms: int | None = None  # lines behind it may be there already, since this time


def note_of(time_ms: int, again_ms: int | None) -> str:
    """What is written beside an offset: when that was, and whether lines behind it may be there already."""
    return f"{time_ms}" if again_ms is None else f"{AGAIN}{again_ms}"


async def forwarded(producer: AIOKafkaProducer, place: Place) -> Forwarded:
    """How far the shard was forwarded; the producer is its own, so nobody else can change that any more.

    Raises:
        Unavailable: somebody else's transaction is undecided.
        KafkaError: the broker refuses.
    """
    try:
        return _read(await committed(producer.client, place.group, place.part, settle_s=LOST_S))
    except Undecided:
        await _take_back(producer, place)
    try:
        return _read(await committed(producer.client, place.group, place.part, settle_s=ENDED_S))
    except Undecided:
        raise Unavailable(_advice(place)) from None


def _read(offset: Offset | None) -> Forwarded:
    if offset is None:
        return Forwarded(None)
    again_ms = _since_ms(offset) if offset.note.startswith(AGAIN) else None
    return Forwarded(offset.next - 1, again_ms)


def _since_ms(offset: Offset) -> int:
    """When the offset was committed; 0 where nobody has noted it, as older releases do."""
    digits = offset.note.removeprefix(AGAIN)
    return int(digits) if digits.isdecimal() else 0


async def _take_back(producer: AIOKafkaProducer, place: Place) -> None:
    """End the transaction that is undecided, once it is noted what it may have left behind.

    A shard is begun in a transaction that holds no line: without an offset there is nothing to note.
    """
    offset = await committed(producer.client, place.group, place.part, settle_s=None)
    part, fence = place.part, None if offset is None else offset.next - 1
    _log.warning(
        "Kafka has lost the end of a transaction: taking it back",
        shard=f"{part.topic}-{part.partition}", group=place.group, fence=fence,
    )  # fmt: skip
    if offset is not None:
        await _note(place, OffsetAndMetadata(offset.next, note_of(0, _since_ms(offset))))
    await producer.begin_transaction()
    parts = range(place.partitions)
    sent = [await producer.send(place.topic, b"", partition=partition) for partition in parts]
    await asyncio.gather(*sent)
    # Never committed: whichever offset this is, it only takes the undecided one's place.
    await producer.send_offsets_to_transaction({part: OffsetAndMetadata(0, "")}, place.group)
    await producer.abort_transaction()


async def _note(place: Place, offset: OffsetAndMetadata) -> None:
    """Write it in no transaction: it is to stay, whatever becomes of those.

    Who comes late with this, after others went on, sets the fence back: the lines since are left out then.
    """
    consumer = AIOKafkaConsumer(
        **client_options(place.connection), group_id=place.group, enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign([place.part])
        consumer.pause(place.part)  # it is not to read
        await consumer.commit({place.part: offset})
    finally:
        await consumer.stop()


def _advice(place: Place) -> str:
    shard, names = f"{place.part.topic}-{place.part.partition}", place.connection.names
    tool = f"kafka-transactions.sh --bootstrap-server {names}"
    return (
        f"how far {shard} was routed is undecided (group {place.group}): Kafka has lost the end of a "
        f"transaction that is not ours to end; find it with `{tool} find-hanging --topic T`, for T "
        f"__consumer_offsets and {place.topic}, and end it there with `{tool} abort --topic T --partition P "
        "--start-offset N`"
    )
