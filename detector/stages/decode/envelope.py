"""JSON records: one object, or an OTLP batch that holds many logs. Pure."""

import json
from collections.abc import Iterator

import msgspec

from detector.errors import BadRecord
from detector.stages.decode.entry import Entry
from detector.stages.decode.field_plan import FOUND, OTLP
from detector.stages.decode.fields import MOST_DEPTH, Object
from detector.stages.decode.objects import ObjectReader, Stamp
from detector.stages.decode.settings import DecodeSettings

_json = msgspec.json.Decoder()


def parsed(raw: bytes) -> Object:
    """The object that a record holds.

    Raises:
        BadRecord: the record is not one whole JSON object; the message says in which way.
    """
    try:
        value = _json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _leniently(raw)
    if not isinstance(value, dict):
        raise BadRecord(f"JSON, but not an object: {_KINDS.get(type(value), 'a number')}")
    return value


_KINDS = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


def _leniently(raw: bytes) -> object:
    """What the fast reader refuses but others write: bad UTF-8, control characters, NaN, lone surrogates."""
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            raise BadRecord("half a JSON object: it ends before it is complete") from error
        raise BadRecord(f"not valid JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise BadRecord("JSON nested too deeply") from error
    except ValueError as error:  # a number of more digits than int() takes
        raise BadRecord("a number in the JSON has too many digits") from error


class Envelope:
    """Reads JSON records into entries."""

    def __init__(self, settings: DecodeSettings, stamp: Stamp) -> None:
        """Read times that are written out with `stamp`."""
        self._objects = ObjectReader(FOUND, settings, stamp)
        self._otlp = ObjectReader(OTLP, settings, stamp)

    def entry(self, fields: Object, reference_us: int | None) -> Entry:
        """The entry of one object; where its message is itself an object as text, of that one in this."""
        outer = self._objects.entry(fields, reference_us)
        if outer.message[:1] != b"{" or outer.is_event:
            return outer
        try:
            inner = self._objects.entry(parsed(outer.message), reference_us)
        except BadRecord:
            return outer
        return msgspec.structs.replace(
            inner,
            stamp_us=inner.stamp_us if outer.stamp_us is None else outer.stamp_us,
            level=inner.level or outer.level,
            source=outer.source or inner.source,
        )

    def batch(self, fields: Object, reference_us: int | None) -> Iterator[Entry | BadRecord]:
        """The entries of an OTLP batch, in order; a log that cannot be read is its error.

        Raises:
            BadRecord: the object is no such batch.
        """
        for log in otlp_logs(fields):
            try:
                yield self._otlp.entry(log, reference_us)
            except BadRecord as error:
                yield error


def otlp_logs(fields: Object) -> Iterator[Object]:
    """Each log of a batch as one flat object, its resource's attributes beside its own.

    Raises:
        BadRecord: a level of the batch is not what OpenTelemetry says it is.
    """
    for resource in _objects_in(fields, "resourceLogs"):
        shared = _attributes(resource.get("resource"))
        for scope in _objects_in(resource, "scopeLogs"):
            for log in _objects_in(scope, "logRecords"):
                own = {key: value for key, value in log.items() if key != "attributes"}
                yield {**shared, **_attributes(log), **own, "body": _plain(log.get("body"))}


def _objects_in(fields: Object, name: str) -> list[Object]:
    values = fields.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise BadRecord(f"OTLP: {name} is not a list of objects")
    return values


def _attributes(holder: object) -> Object:
    pairs = holder.get("attributes") if isinstance(holder, dict) else None
    return _pairs(pairs)


def _pairs(pairs: object, depth: int = 0) -> Object:
    if not isinstance(pairs, list):
        return {}
    return {
        str(pair.get("key")): _plain(pair.get("value"), depth) for pair in pairs if isinstance(pair, dict)
    }


def _plain(value: object, depth: int = 0) -> object:
    """An OTLP AnyValue as the value it wraps."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind == "kvlistValue" and isinstance(inner, dict):
        return _pairs(inner.get("values"), depth + 1) if depth < MOST_DEPTH else None
    return inner
