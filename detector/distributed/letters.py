"""Dead letters: what is kept of a record that was put aside, and the message it becomes. No I/O."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from detector.distributed.routed import CUT, KEY, ORIGIN, TIME
from detector.distributed.routed import OURS as ROUTER
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.inputs.kafka.producing import Message
from detector.records import DeadLetter, Reject

CRASH = "Crash"  # error class of a record that ended the worker again and again
CRASHED = "the worker ended each time that it came to this record"
AGAIN = "tailrace-resubmitted"  # header: the record that this one is sent again for, topic/partition/offset
TRIED = "tailrace-attempts"  # header: how often it was tried before
ERROR_CHARACTERS = 1_000
LONGEST_COUNT = 9  # digits
KEY_BYTES = 4_096
HEADER_BYTES = 16_384  # of all headers together
OURS = (
    "x-error-class",
    "x-error",
    "x-topic",
    "x-partition",
    "x-offset",
    "x-attempts",
    "x-cut",
)

_PLACE = re.compile(r"([A-Za-z0-9._-]{1,249})/(\d{1,10})/(\d{1,19}(?::\d{1,10})?)")


class Keeping(msgspec.Struct, frozen=True):
    """How dead letters are kept."""

    max_bytes: int = 262_144  # of a value
    routed_topic: str = ""  # records in it say where they come from


def addressed(
    shard: Shard, rejects: Iterable[Reject], records: Iterable[KafkaRecord], keeping: Keeping
) -> list[DeadLetter]:
    """A dead letter for each record that has a reject; it gives the first, and counts the others."""
    reasons: dict[int, list[str]] = {}
    for reject in rejects:
        reasons.setdefault(reject.offset, []).append(reject.reason)
    if not reasons:
        return []
    found = {record.offset: record for record in records if record.offset in reasons}
    return [dead_letter(shard, found[offset], _sentence(some), keeping) for offset, some in reasons.items()]


def dead_letter(
    shard: Shard,
    record: KafkaRecord,
    error: str,
    keeping: Keeping,
    *,
    error_class: str = "BadRecord",
    attempts: int = 1,
) -> DeadLetter:
    """What is kept of a record; the same whenever it is read."""
    value = record.value or b""
    place = identity_in(record, AGAIN)
    if place:
        tried = header(record, TRIED) or b""
        attempts += int(tried) if tried.isdigit() and len(tried) < LONGEST_COUNT else 0
    elif shard.topic == keeping.routed_topic:
        place = identity_in(record, ORIGIN)
    was_cut = header(record, CUT) if place else None
    own_time = header(record, TIME) if place else None
    return DeadLetter(
        origin=shard.topic,
        offset=record.offset,
        reason=error[:ERROR_CHARACTERS],
        value=value[: keeping.max_bytes],
        topic=shard.topic,
        partition=shard.partition,
        place=place,
        key=None if record.key is None else record.key[:KEY_BYTES],
        headers=_bounded(record.headers),
        time_ms=int(own_time) if own_time and own_time.isdigit() else record.time_ms,
        size=int(was_cut) if was_cut and was_cut.isdigit() else len(value),
        error_class=error_class,
        attempts=attempts,
    )


def message(letter: DeadLetter, topic: str, max_bytes: int | None = None) -> Message:
    """The dead letter as it is published: the record's key, value and headers, and what was wrong."""
    value = letter.value[:max_bytes]
    where, partition, offset = letter.identity.split("/")
    said = [letter.error_class, letter.reason, where, partition, offset, str(letter.attempts)]
    if len(value) < letter.size:
        said.append(f"{len(value)} of {letter.size} bytes")
    key, kept = letter.key, [one for one in letter.headers if one[0] not in OURS]
    if any(name == ORIGIN for name, _ in kept) and letter.place:
        key = next((content for name, content in kept if name == KEY), None)
    kept = [one for one in kept if not one[0].startswith(ROUTER)]
    ours = [(name, text.encode("utf-8", "backslashreplace")) for name, text in zip(OURS, said, strict=False)]
    return Message(topic, key, value, (*kept, *ours))


def header(record: KafkaRecord, name: str) -> bytes | None:
    """The last header of that name."""
    return next((content for known, content in reversed(record.headers) if known == name), None)


def identity_in(record: KafkaRecord, name: str) -> str:
    """The record that a header names; empty where it does not, or not as we write it."""
    said = (header(record, name) or b"").decode("ascii", "replace")
    return said if _PLACE.fullmatch(said) else ""


def _sentence(reasons: Sequence[str]) -> str:
    return reasons[0] if len(reasons) == 1 else f"{reasons[0]} (and {len(reasons) - 1} more)"


def _bounded(headers: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    """The first headers, as many as fit."""
    kept, size = [], 0
    for name, content in headers:
        size += len(name.encode()) + len(content)
        if size > HEADER_BYTES:
            break
        kept.append((name, content))
    return tuple(kept)
