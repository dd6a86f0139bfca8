"""OTLP batches in JSON, each log as one flat object; the bounds hold for protobuf too. Pure.

What a field says is made the same however it was written (a number as text, 0 for none), so that a batch
gives the same lines in both encodings.
"""

import base64
import json
import re
from collections.abc import Iterator

from detector.errors import BadRecord
from detector.stages.decode.fields import MOST_DEPTH, Object

MOST_LOGS = 65_536  # of one record
MOST_ATTRIBUTES = 1_000  # of one log or resource, beyond which the record is put aside

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NOTHING = (None, "", 0, "0", "SEVERITY_NUMBER_UNSPECIFIED")  # what protobuf leaves out


def logs(fields: Object) -> Iterator[Object]:
    """Each log of a batch, its resource's attributes beside its own.

    Raises:
        BadRecord: a level of the batch is not what OpenTelemetry says it is, or there is too much of it.
    """
    for resource in _objects_in(fields, "resourceLogs"):
        shared = _attributes(resource.get("resource"))
        for scope in _objects_in(resource, "scopeLogs"):
            for log in _objects_in(scope, "logRecords"):
                own = {key: value for key, value in log.items() if key not in _READ and value not in _NOTHING}
                yield {**shared, **_attributes(log), **own, "body": body_of(_plain(log.get("body")))}


_READ = frozenset({"attributes", "body"})


def body_of(value: object) -> object:
    """A log's body: a list as JSON, anything else as it is."""
    if not isinstance(value, list):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def text_of(octets: bytes) -> str:
    """The text of a value of bytes."""
    return octets.decode("utf-8", "replace")


def bounded(count: int) -> None:
    """Check the number of a log's or a resource's attributes.

    Raises:
        BadRecord: there are too many.
    """
    if count > MOST_ATTRIBUTES:
        raise BadRecord(f"OTLP: {count} attributes in one place, more than {MOST_ATTRIBUTES}")


def _objects_in(fields: Object, name: str) -> list[Object]:
    values = fields.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise BadRecord(f"OTLP: {name} is not a list of objects")
    return values


def _attributes(holder: object) -> Object:
    pairs = holder.get("attributes") if isinstance(holder, dict) else None
    if isinstance(pairs, list):
        bounded(len(pairs))
    return _pairs(pairs, 0)


def _pairs(pairs: object, depth: int) -> Object:
    if not isinstance(pairs, list):
        return {}
    return {
        str(pair.get("key", "")): _plain(pair.get("value"), depth) for pair in pairs if isinstance(pair, dict)
    }


def _plain(value: object, depth: int = 0) -> object:
    """An OTLP AnyValue as the value it wraps; what is none is left as it is."""
    if not isinstance(value, dict) or len(value) > 1:
        return value
    for kind, inner in value.items():
        if kind in {"kvlistValue", "arrayValue"}:
            return _nested(kind, inner, depth + 1) if depth < MOST_DEPTH else None
        return _scalar(kind, inner) if kind in _SCALARS else value
    return None


_SCALARS = frozenset({"stringValue", "boolValue", "intValue", "doubleValue", "bytesValue"})


def _nested(kind: str, inner: object, depth: int) -> object:
    values = inner.get("values") if isinstance(inner, dict) else None
    if kind == "kvlistValue":
        return _pairs(values, depth)
    return [_plain(value, depth) for value in values] if isinstance(values, list) else []


def _scalar(kind: str, inner: object) -> object:
    if kind == "intValue" and isinstance(inner, str) and _INTEGER.fullmatch(inner):
        return int(inner)
    try:
        if kind == "doubleValue" and isinstance(inner, str | int | float):
            return float(inner)
        if kind == "bytesValue" and isinstance(inner, str):
            return text_of(base64.b64decode(inner, validate=True))
    except (ValueError, OverflowError):
        return inner
    return inner
