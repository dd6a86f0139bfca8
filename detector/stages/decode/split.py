"""Take a batch of many logs apart: records of one log each, with all that it shares with the others. Pure."""

import json
from collections.abc import Iterable, Iterator

from detector.errors import BadRecord
from detector.stages.decode import otlp_proto
from detector.stages.decode.entry import cleaned, unmarked
from detector.stages.decode.envelope import parsed
from detector.stages.decode.fields import Object

MOST_BYTES = 64 << 20  # of all logs of one batch: what they share is in each of them


def each_log(value: bytes) -> list[bytes]:
    """The logs of an OTLP batch that decodes, in the order in which decoding numbers them, encoded as it is.

    Raises:
        BadRecord: the record is no such batch, cannot be written again, or comes to more than MOST_BYTES.
    """
    if otlp_proto.may_be(value):
        return _bounded(otlp_proto.each_log(value))
    try:
        # Not msgspec: it writes no lone surrogates, no integers beyond 64 bits, and null for NaN.
        return _bounded(json.dumps(one, separators=(",", ":")).encode() for one in _each_object(_read(value)))
    except RecursionError as error:
        raise BadRecord("JSON nested too deeply to be taken apart") from error


def _bounded(logs: Iterable[bytes]) -> list[bytes]:
    kept, size = [], 0
    for log in logs:
        size += len(log)
        if size > MOST_BYTES:
            raise BadRecord(f"OTLP: more than {MOST_BYTES} bytes when taken apart")
        kept.append(log)
    return kept


def _read(value: bytes) -> Object:
    """The object, found in the record as decoding finds it."""
    raw = value.rstrip()
    if b"\0" in raw or b"\x1b" in raw:
        raw = cleaned(raw).rstrip()
    return parsed(unmarked(raw).lstrip())


def _each_object(batch: Object) -> Iterator[Object]:
    for resource in _objects(batch, "resourceLogs"):
        for scope in _objects(resource, "scopeLogs"):
            for log in _objects(scope, "logRecords"):
                yield {"resourceLogs": [{**resource, "scopeLogs": [{**scope, "logRecords": [log]}]}]}


def _objects(holder: Object, name: str) -> list[Object]:
    values = holder.get(name, [])
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
