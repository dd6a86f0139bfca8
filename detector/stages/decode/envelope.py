"""JSON records: one object, or an OTLP batch that holds many logs. Pure."""

import json
from collections.abc import Iterator

import msgspec

from detector.errors import BadRecord
from detector.stages.decode.entry import Entry
from detector.stages.decode.field_plan import FOUND, OTLP
from detector.stages.decode.fields import Object
from detector.stages.decode.objects import ObjectReader, Stamp
from detector.stages.decode.otlp import MOST_LOGS
from detector.stages.decode.settings import DecodeSettings

MOST_BATCH_BYTES = 1 << 26  # of the messages of one OTLP batch, where each is told by attributes they share

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
            trace=outer.trace or inner.trace,
        )

    def batch(self, logs: Iterator[Object], reference_us: int | None) -> list[Entry | BadRecord]:
        """The entries of an OTLP batch, in order; a log that cannot be read is its error.

        Raises:
            BadRecord: the record is no such batch, or its logs are too many.
        """
        entries: list[Entry | BadRecord] = []
        size = 0
        for log in logs:
            entry = self._of_log(log, reference_us)
            entries.append(entry)
            size += len(entry.text) if isinstance(entry, Entry) else 0
            if len(entries) > MOST_LOGS or size > MOST_BATCH_BYTES:
                raise BadRecord(f"OTLP: more than {MOST_LOGS} logs, or {MOST_BATCH_BYTES} bytes of them")
        return entries

    def _of_log(self, log: Object, reference_us: int | None) -> Entry | BadRecord:
        try:
            return self._otlp.entry(log, reference_us)
        except BadRecord as error:
            return error
