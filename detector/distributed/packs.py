"""Many lines in one record of the routed topic: how the router packs them and a worker opens them. No I/O.

A pack has the header `tailrace-lines` with the number of its lines. Its value is MessagePack:

    [version, feed, [[offset, sub, time, key, value, headers], ...]]

`feed` is the partition that they come from (`topic/partition`); then, of each record, its offset there, the
index of the log where a record of several was taken apart (else -1), its time in milliseconds, its key,
value and headers. Alone in a record of its own, in the form of `routed`, goes what says more about itself:
a line too large for a pack, one that ended the router, one that is sent again, and a mark.

A worker numbers lines, because a record that ends it is found among those of a pack: line `n` of the record
at `offset` has the number `offset * MOST_LINES + n`, a record that is no pack that of its last line.
"""

from collections.abc import Iterable, Iterator

import msgspec

from detector.distributed import routed
from detector.errors import BadRecord, BadSetup
from detector.inputs.kafka.feed import KafkaRecord, PartitionBatch, Shard
from detector.records import DeadLetter, Record

VERSION = 1
LINES = routed.OURS + "lines"
MOST_LINES = 1 << 12  # of a pack; numbers last for 2^51 offsets
PACK_BYTES = 1 << 16  # beyond which a pack takes no more
LINE_BYTES = 48  # a line takes in a pack, beside its key, value and headers
HEADER_BYTES = 10  # and each of its headers


class Packed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line, or a record that cannot be read."""

    offset: int
    sub: int
    time_ms: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Pack(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the value of a pack holds."""

    version: int
    feed: str
    lines: list[Packed]


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """A partition's fence."""

    offset: int  # of the last record whose effects are kept; -1 before the first
    lines: int = 0  # of the pack behind it whose effects are kept too


class _Version(msgspec.Struct, array_like=True):
    version: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Pack).decode
_version = msgspec.msgpack.Decoder(_Version).decode


def size_of(value: bytes, record: KafkaRecord) -> int:
    """The bytes that a line takes in a pack, at most."""
    size = LINE_BYTES + len(value) + len(record.key or b"")
    for name, content in record.headers:
        size += len(name.encode()) + len(content or b"") + HEADER_BYTES
    return size


def packed(feed: str, lines: list[Packed], *, more: bool) -> tuple[bytes, routed.Headers]:
    """The value and headers of a pack; `more` says that the feed had more when it was routed."""
    headers = [(LINES, b"%d" % len(lines)), *([(routed.MORE, b"")] if more else [])]
    return _encode(Pack(VERSION, feed, lines)), headers


def count_of(record: KafkaRecord) -> int:
    """How many lines a record holds, as it says itself; 0 where it is no pack."""
    for name, content in record.headers:
        if name == LINES:
            return routed.number(content) or 1
    return 0


def pack_of(record: KafkaRecord) -> Pack:
    """What a pack holds.

    Raises:
        BadRecord: it is none.
        BadSetup: a newer release has written it.
    """
    value = record.value or b""
    try:
        version = _version(value).version
        if version > VERSION:
            raise BadSetup(
                f"the routed topic holds lines in form {version}, and this release reads form {VERSION}: "
                "a newer release routes for this group; run that one everywhere"
            )
        pack = _decode(value)
        if len(pack.lines) > MOST_LINES:
            raise BadRecord(f"{len(pack.lines)} lines that were routed together, more than {MOST_LINES}")
    except msgspec.DecodeError as error:
        raise BadRecord(f"said to be lines that were routed together, and is not: {error}") from error
    return pack


def records_of(record: KafkaRecord, pack: Pack) -> list[Record]:
    """The lines of a pack as the core reads them; the record's offset is a number."""
    feed, (topic, _, _) = pack.feed, pack.feed.rpartition("/")
    first = record.offset - MOST_LINES + 1
    return [
        Record(
            routed.origin_of(line.key, topic),
            line.value,
            number,
            number + 1,
            routed.time_us_of(line.time_ms),
            f"{feed}/{line.offset}" if line.sub < 0 else f"{feed}/{line.offset}:{line.sub}",
        )
        for number, line in enumerate(pack.lines, first)
    ]


def opened(record: KafkaRecord) -> list[KafkaRecord]:
    """A record for each line of a pack, in the form of `routed`; one that is no pack as it is. Numbered."""
    if not count_of(record):
        return [record]
    try:
        pack = pack_of(record)
    except BadRecord:
        return [record]
    topic, _, partition = pack.feed.rpartition("/")
    shard, first = Shard(topic, routed.number(partition.encode())), record.offset - MOST_LINES + 1
    more = routed.has_more(record)
    return [
        KafkaRecord(number, record.time_ms, line.key, line.value, _headers(shard, line, more=more))
        for number, line in enumerate(pack.lines, first)
    ]


def holding(records: Iterable[KafkaRecord], numbers: Iterable[int]) -> list[KafkaRecord]:
    """The records with these numbers, and the lines of those that are packs."""
    offsets = {offset_of(number) for number in numbers}
    return [one for record in records if offset_of(record.offset) in offsets for one in opened(record)]


def numbered(batch: PartitionBatch) -> PartitionBatch:
    """The batch with numbers in place of offsets."""
    records = [msgspec.structs.replace(record, offset=_whole(record.offset)) for record in batch.records]
    return msgspec.structs.replace(batch, after=_whole(batch.after), last=_whole(batch.last), records=records)


def portions(batch: PartitionBatch, max_lines: int) -> Iterator[PartitionBatch]:
    """The batch, or parts of it that hold no more lines, or one pack each."""
    after, start, lines = batch.after, 0, 0
    for at, record in enumerate(batch.records):
        count = count_of(record) or 1
        if at > start and lines + count > max_lines:
            last = batch.records[at - 1].offset
            yield PartitionBatch(batch.shard, after, last, batch.records[start:at], at_end=False)
            after, start, lines = last, at, 0
        lines += count
    yield PartitionBatch(batch.shard, after, batch.last, batch.records[start:], batch.at_end)


def number_of(position: Position) -> int:
    """The number of the last line whose effects are kept."""
    return _whole(position.offset) + position.lines


def position_of(number: int) -> Position:
    """The fence behind a line."""
    record, lines = divmod(number + 1, MOST_LINES)
    return Position(record - 1, lines)


def offset_of(number: int) -> int:
    """The offset of the record that a line is in."""
    return number // MOST_LINES


def lying(letter: DeadLetter) -> DeadLetter:
    """The dead letter of a numbered record, with the offset again where it has a record of its own."""
    is_whole = (letter.offset + 1) % MOST_LINES == 0
    return msgspec.structs.replace(letter, offset=offset_of(letter.offset)) if is_whole else letter


def _whole(offset: int) -> int:
    return (offset + 1) * MOST_LINES - 1


def _headers(shard: Shard, line: Packed, *, more: bool) -> tuple[tuple[str, bytes], ...]:
    """Those of a record of its own."""
    was = KafkaRecord(line.offset, line.time_ms, line.key, None, line.headers)
    return tuple(routed.headers_of(shard, was, line.sub, more=more))
