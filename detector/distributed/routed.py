"""What a record of the routed topic carries that holds one line, and how it is read again. No I/O.

Most lines go many to a record (`packs`). Where one has a record of its own, value and headers are those of
the record that was routed, and the key is the source. The time is when it was routed: by its own an old line
would fall to retention at once, and one from the future be refused. Our headers say the rest:

    tailrace-origin  topic/partition/offset, with `:sub` where a record of several logs was taken apart
    tailrace-time    the record's own time, milliseconds
    tailrace-key     the record's own key, where it had one
    tailrace-more    the origin's log had more when this was routed
    tailrace-cut     the length of a value that the topic does not take; what is here is its beginning
    tailrace-crash   the router ended each time that it came to the record, and has not read it
    tailrace-mark    no line: says how far its origin's clock is, microseconds (0: no time yet)
"""

from typing import NamedTuple

from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.records import Record

OURS = "tailrace-"
ORIGIN, TIME, KEY, MORE, CUT, CRASH, MARK = (
    OURS + name for name in ("origin", "time", "key", "more", "cut", "crash", "mark")
)
ORIGIN_CHARACTERS = 256  # longest name of an origin
LAST_MS = 253_402_300_799_999  # in the year 9999
PLACE_CHARACTERS = 300  # longest place: a topic's name has 249 characters at most

Headers = list[tuple[str, bytes]]


class Routed(NamedTuple):
    """A record of the routed topic."""

    feed: str  # the partition that it comes from
    record: Record
    more: bool
    cut: int  # length of the value where it was cut, else 0
    mark_us: int | None  # its clock, where it is a mark and no line


def record_of(topic: str, record: KafkaRecord, place: str = "") -> Record:
    """A message as the core reads it; its key names the origin, and where nothing else does the source."""
    return _record(topic, record, record.key, record.time_ms, place)


def _record(topic: str, record: KafkaRecord, key: bytes | None, time_ms: int, place: str = "") -> Record:
    return Record(
        origin=origin_of(key, topic),
        value=record.value or b"",
        offset=record.offset,
        end=record.offset + 1,
        time_us=time_us_of(time_ms),
        place=place,
    )


def time_us_of(time_ms: int) -> int | None:
    """A record's time; None where it has none, or one that older brokers take and no calendar has."""
    return time_ms * 1000 if 0 < time_ms <= LAST_MS else None


def origin_of(key: bytes | None, topic: str) -> str:
    """What a record's lines are read as one stream of: its key's, else its topic's."""
    return key.decode("utf-8", "backslashreplace")[:ORIGIN_CHARACTERS] if key else topic


def headers_of(shard: Shard, record: KafkaRecord, sub: int = -1, *, more: bool) -> Headers:
    """The headers of what is sent for a record."""
    place = b"%b/%d/%d" % (shard.topic.encode(), shard.partition, record.offset)
    headers = [(ORIGIN, place if sub < 0 else b"%b:%d" % (place, sub)), (TIME, b"%d" % record.time_ms)]
    if record.key is not None:
        headers.append((KEY, record.key))
    if more:
        headers.append((MORE, b""))
    if record.headers:
        headers += [header for header in record.headers if not header[0].startswith(OURS)]
    return headers


def has_more(record: KafkaRecord) -> bool:
    """Whether the origin's log had more when this was routed."""
    return any(name == MORE for name, _ in record.headers)


def mark_headers(shard: Shard, offset: int, clock_us: int, *, more: bool) -> Headers:
    """The headers of a record that only says how far a shard is."""
    headers = [(ORIGIN, f"{shard.topic}/{shard.partition}/{offset}".encode()), (MARK, b"%d" % clock_us)]
    return [*headers, (MORE, b"")] if more else headers


def read(shard: Shard, record: KafkaRecord) -> Routed:
    """A record of the routed topic; one that the router did not write is read as any other."""
    ours = {name: value for name, value in record.headers if name.startswith(OURS)}
    place = ours.get(ORIGIN, b"").decode("utf-8", "replace")[:PLACE_CHARACTERS]
    feed, _, _ = place.rpartition("/")
    topic, _, _ = feed.rpartition("/")
    if not topic:
        return Routed(str(shard), record_of(shard.topic, record), False, 0, None)
    time_ms = number(ours.get(TIME, b""))
    return Routed(
        feed,
        _record(topic, record, ours.get(KEY), time_ms, place),
        MORE in ours,
        number(ours.get(CUT, b"")),
        number(ours[MARK]) if MARK in ours else None,
    )


def number(digits: bytes) -> int:
    """A whole number that we wrote; 0 where there is none, or none that is not negative."""
    return int(digits[:19]) if digits.isdigit() else 0
