"""An object's message, time, level and source, found under the names that shippers use. Pure."""

from collections.abc import Callable

from detector.errors import BadRecord
from detector.stages.decode import epoch, source
from detector.stages.decode.entry import Entry, cleaned, level_name, otlp_level
from detector.stages.decode.field_plan import Names, Plan, Plans
from detector.stages.decode.fields import Getter, Object, key_values, scalar_text, scalars, value_at
from detector.stages.decode.settings import DecodeSettings
from detector.stages.decode.source import trace_name

MOST_TEXT = 8_192  # characters of the text made of an object without a message

Stamp = Callable[[str, int | None], int | None]  # a written time, and one near it, to microseconds


class ObjectReader:
    """Reads objects; holds what it worked out for the shapes it has seen."""

    def __init__(self, names: Names, settings: DecodeSettings, stamp: Stamp) -> None:
        """Look under these names; read times that are written out with `stamp`."""
        self._plans = Plans(names, settings)
        self._described = names.described
        self._event_field = settings.event_field
        self._source_fields = settings.source_fields
        self._strict_source = settings.names_sessions
        self._stamp = stamp

    def entry(self, fields: Object, reference_us: int | None) -> Entry:
        """The object as a message.

        Raises:
            BadRecord: it has nothing to say, or lacks the field that is the event.
        """
        plan = self._plans.of(fields)
        text = self._event(fields) if self._event_field else _text(fields, plan, self._described)
        message = text.encode("utf-8", "replace")
        if b"\0" in message or b"\x1b" in message:
            message = cleaned(message)
        stamp_us, bad_time = self._time_of(fields, plan, reference_us)
        return Entry(
            message,
            message,
            stamp_us,
            _level(fields, plan),
            self._source(fields, plan),
            self._event_field is not None,
            bad_time,
            trace_name(_scalar(fields, plan.trace)) if plan.trace else "",
        )

    def _event(self, fields: Object) -> str:
        text = scalar_text(value_at(fields, self._event_field or ""))
        if text is None:
            raise BadRecord(f"the object has no field {self._event_field} that could be the event")
        return text

    def _time_of(self, fields: Object, plan: Plan, reference_us: int | None) -> tuple[int | None, bool]:
        bad = False
        for key, rest in plan.time:
            value = value_at(fields[key], rest)
            if value is not None:
                stamp_us = self._microseconds(value, reference_us)
                if stamp_us is not None:
                    return stamp_us, False
                bad = True
        return None, bad

    def _microseconds(self, value: object, reference_us: int | None) -> int | None:
        if isinstance(value, str):
            number = epoch.digits(value) if value[:5].isdecimal() else None
            return self._stamp(value, reference_us) if number is None else number
        if isinstance(value, float):
            return epoch.fractional(value)
        return epoch.whole(value) if type(value) is int else None

    def _source(self, fields: Object, plan: Plan) -> str:
        if self._source_fields:
            named = source.joined([scalar_text(value_at(fields, name)) or "" for name in self._source_fields])
            if named:
                return named
        if self._strict_source:
            return ""
        for choice in plan.sources:
            parts = [_scalar(fields, part) for part in choice if part]
            if parts[0]:
                return source.joined(parts)
        return source.clean(scalar_text(value_at(fields, source.FILE_PATH)) or "")


def _scalar(fields: Object, ways: list[Getter]) -> str:
    for key, rest in ways:
        value = value_at(fields[key], rest)
        text = value if isinstance(value, str) else scalar_text(value)
        if text:
            return text
    return ""


def _level(fields: Object, plan: Plan) -> str:
    for key, rest in plan.level:
        value = value_at(fields[key], rest)
        level = otlp_level(value) if key == "severityNumber" else level_name(value)
        if level:
            return level
    return ""


def _text(fields: Object, plan: Plan, described: str) -> str:
    blank = None
    for key, rest in plan.message:
        value = value_at(fields[key], rest)
        text = _octets(value) if isinstance(value, list) else scalar_text(value)
        if text and not text.isspace():
            return text
        blank = text if blank is None else blank
    if blank is not None:
        return ""
    part = fields.get(described)
    return (isinstance(part, dict) and _told(part)) or _described(fields, plan)


def _octets(values: list[object]) -> str | None:
    """The text of a message that journald gives as a list of bytes, because it is not UTF-8."""
    octets = [value for value in values if type(value) is int and 0 <= value <= 255]  # noqa: PLR2004  (a byte)
    return bytes(octets).decode("utf-8", "replace") if octets and len(octets) == len(values) else None


def _described(fields: Object, plan: Plan) -> str:
    kept = {key: value for key, value in fields.items() if key not in plan.used}
    text = _told(kept)
    if not text:
        raise BadRecord("the object holds no message and no fields to make one of")
    return text


def _told(fields: Object) -> str:
    return key_values(scalars(fields, ""))[:MOST_TEXT]
