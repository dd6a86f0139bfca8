"""OTLP batches in protobuf, each log as the flat object that its JSON gives. Pure.

Whoever never meets such a record never imports protobuf.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from detector.errors import BadRecord
from detector.stages.decode.fields import MOST_DEPTH, Object
from detector.stages.decode.otlp import body_of, bounded, text_of

# A batch begins with the tag of its first resource's logs, which is a line feed, and holds that of a scope's
# logs, a control character that is in no text.
BEGINNING = 0x0A
_SCOPE_LOGS = b"\x12"
_LENGTH = 2  # wire type: a length, then so many bytes
_SIZES = {1: 8, 5: 4}  # of the wire types that have one
_VARINT_BYTES = 10
_KNOWN_FIELDS = 3  # of ResourceLogs: resource, scope_logs, schema_url; all of them are given with a length
_STRING, _BYTES = 9, 12  # types of protobuf's descriptors


def may_be(value: bytes) -> bool:
    """Whether a record that begins with a line feed is a batch, sound or damaged, and no text."""
    return value[:1] == b"\n" and _SCOPE_LOGS in value


def logs(value: bytes) -> Iterator[Object]:
    """Each log of a batch (ExportLogsServiceRequest, LogsData), its resource's attributes beside its own.

    Raises:
        BadRecord: the bytes are no such batch, or there is too much in it.
    """
    for resource in _read(value).resource_logs:
        bounded(len(resource.resource.attributes))
        shared = _pairs(resource.resource.attributes, 0)
        for scope in resource.scope_logs:
            for log in scope.log_records:
                bounded(len(log.attributes))
                yield {**shared, **_pairs(log.attributes, 0), **_own(log)}


def each_log(value: bytes) -> Iterator[bytes]:
    """Each log of a batch that can be read as a batch of its own, with its resource and scope."""
    for resource in _parts(value, 1):
        around_scope = _without(resource, 2)
        for scope in _parts(resource, 2):
            around_log = _without(scope, 2)
            for log in _parts(scope, 2):
                yield _part(1, around_scope + _part(2, around_log + _part(2, log)))


def _parts(message: bytes, number: int) -> Iterator[bytes]:
    """The messages that a message holds under one number."""
    for found, kind, start, end in _fields(message, 0, len(message)):
        if (found, kind) == (number, _LENGTH):
            yield message[start:end]


def _without(message: bytes, number: int) -> bytes:
    """A message without what it holds under one number."""
    kept, at = bytearray(), 0
    for found, _, _, end in _fields(message, 0, len(message)):
        if found != number:
            kept += message[at:end]
        at = end
    return bytes(kept)


def _part(number: int, message: bytes) -> bytes:
    length, encoded = len(message), bytearray((number << 3 | _LENGTH,))
    while length > 0x7F:  # noqa: PLR2004  (seven bits a byte)
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded) + message


def _own(log: Any) -> Object:
    fields: Object = {
        "timeUnixNano": log.time_unix_nano,
        "observedTimeUnixNano": log.observed_time_unix_nano,
        "severityNumber": log.severity_number,
        "severityText": text_of(log.severity_text),
        "droppedAttributesCount": log.dropped_attributes_count,
        "flags": log.flags,
        "traceId": log.trace_id.hex(),
        "spanId": log.span_id.hex(),
        "eventName": text_of(log.event_name),
    }
    return {name: value for name, value in fields.items() if value} | {"body": body_of(_plain(log.body))}


def _pairs(pairs: Any, depth: int) -> Object:
    return {text_of(pair.key): _plain(pair.value, depth) for pair in pairs}


def _plain(value: Any, depth: int = 0) -> object:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    inner = getattr(value, kind)
    if isinstance(inner, bytes):
        return text_of(inner)
    if kind in {"kvlist_value", "array_value"}:
        if depth >= MOST_DEPTH:
            return None
        if kind == "kvlist_value":
            return _pairs(inner.values, depth + 1)
        return [_plain(one, depth + 1) for one in inner.values]
    return inner  # bool, int or float


def _read(value: bytes) -> Any:
    batch, error = _schema()
    _check_lengths(value)
    try:
        return batch.FromString(value)
    except error as damage:
        raise BadRecord(f"OTLP: damaged protobuf in a record of {len(value)} bytes") from damage


def _check_lengths(value: bytes) -> None:
    """Check that a batch's lengths add up: protobuf reads much that is not of this message.

    Raises:
        BadRecord: they do not, or a field is not of the kind that it is in a batch.
    """
    for number, kind, start, end in _fields(value, 0, len(value)):
        if (number, kind) != (1, _LENGTH):
            raise BadRecord(f"not OTLP: field {number} before byte {start} is no resource's logs")
        for inner, inner_kind, at, _ in _fields(value, start, end):
            if inner <= _KNOWN_FIELDS and inner_kind != _LENGTH:
                raise BadRecord(f"not OTLP: field {inner} before byte {at} is of another type")


def _fields(value: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type and place of each field of the message that lies there."""
    while at < end:
        tag, at = _varint(value, at)
        number, kind = tag >> 3, tag & 7
        if kind == _LENGTH:
            length, at = _varint(value, at)
        elif kind in _SIZES:
            length = _SIZES[kind]
        elif kind == 0:
            length = _varint(value, at)[1] - at
        else:
            raise BadRecord(f"not OTLP: no field begins before byte {at}")
        if number == 0 or at + length > end:
            raise BadRecord(f"OTLP: the lengths before byte {at} do not add up to {len(value)} bytes")
        yield number, kind, at, at + length
        at += length


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    number = 0
    for place, byte in enumerate(value[at : at + _VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004  (the bit that says that more follow)
            return number, at + place + 1
    raise BadRecord(f"OTLP: no number at byte {at} of {len(value)}")


@cache
def _schema() -> tuple[Any, type[Exception]]:
    """The message, with bytes where OpenTelemetry has text, and what is raised where it cannot be read.

    Shippers send lines that are not UTF-8, for which protobuf would refuse the whole batch.
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorProto  # noqa: PLC0415  (20 ms, and optional)
    from google.protobuf.descriptor_pool import DescriptorPool  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from google.protobuf.message_factory import GetMessageClass  # noqa: PLC0415
    from opentelemetry.proto.common.v1 import common_pb2  # noqa: PLC0415
    from opentelemetry.proto.logs.v1 import logs_pb2  # noqa: PLC0415
    from opentelemetry.proto.resource.v1 import resource_pb2  # noqa: PLC0415

    pool = DescriptorPool()
    for module in (common_pb2, resource_pb2, logs_pb2):
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            for field in message.field:
                field.type = _BYTES if field.type == _STRING else field.type
        pool.Add(file)
    name = logs_pb2.LogsData.DESCRIPTOR.full_name
    return GetMessageClass(pool.FindMessageTypeByName(name)), DecodeError
