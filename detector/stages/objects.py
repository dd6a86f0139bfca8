"""An object's message, time, level and source, found under the names that shippers use. Pure.

How an object with given keys is read is worked out once and remembered; that memory is bounded and changes no
output.
"""

from collections.abc import Callable

import msgspec

from detector.errors import BadRecord
from detector.stages import epoch, source
from detector.stages.decode_settings import DecodeSettings
from detector.stages.entry import Entry, cleaned, level_name, otlp_level
from detector.stages.fields import Getter, getters, key_values, scalar_text, scalars, value_at

MOST_SHAPES = 1_000  # sets of keys remembered; forgotten together when full
MOST_KEYS = 100  # of an object whose shape is remembered
MOST_TEXT = 8_192  # characters of the text made of an object without a message

Stamp = Callable[[str, int | None], int | None]  # a written time, and one near it, to microseconds
Object = dict[str, object]


class Names(msgspec.Struct, frozen=True):
    """Where to look, best first."""

    message: tuple[str, ...]
    time: tuple[str, ...]
    level: tuple[str, ...]


FOUND = Names(
    message=(
        "message", "msg", "log", "MESSAGE", "body.stringValue", "body", "event.original", "@message", "text",
        "short_message", "textPayload", "jsonPayload.message", "error.message", "event",
    ),
    time=(
        "@timestamp", "timestamp", "time", "ts", "__REALTIME_TIMESTAMP", "timeUnixNano",
        "observedTimeUnixNano", "datetime", "date", "t.$date", "t", "asctime", "eventTime",
    ),
    level=(
        "level", "log.level", "severity", "severityText", "severity_text", "loglevel", "levelname", "lvl",
        "PRIORITY", "severityNumber",
    ),
)  # fmt: skip


class _Plan(msgspec.Struct, frozen=True):
    message: list[Getter]
    time: list[Getter]
    level: list[Getter]
    sources: list[list[list[Getter]]]
    used: frozenset[str]  # keys that are no part of an object's text


class ObjectReader:
    """Reads objects; holds what it worked out for the shapes it has seen."""

    def __init__(self, names: Names, settings: DecodeSettings, stamp: Stamp) -> None:
        """Put the fields that the settings name before those that are usual."""
        self._message = _first(settings.message_field, names.message)
        self._time = _first(settings.time_field, names.time)
        self._level = _first(settings.level_field, names.level)
        self._event_field = settings.event_field
        self._source_fields = settings.source_fields
        self._strict_source = settings.names_sessions
        self._stamp = stamp
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def entry(self, fields: Object, reference_us: int | None) -> Entry:
        """The object as a message.

        Raises:
            BadRecord: it has nothing to say, or lacks the field that is the event.
        """
        keys = tuple(fields)
        plan = self._plans.get(keys) or self._plan(keys)
        text = self._event(fields) if self._event_field else _text(fields, plan)
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
        )

    def _plan(self, keys: tuple[str, ...]) -> _Plan:
        time, level = getters(self._time, keys), getters(self._level, keys)
        choices = [[getters(names, keys) for names in choice] for choice in source.DEFAULT_SOURCES]
        sources = [choice for choice in choices if choice[0]]
        used = {key for key, _ in [*time, *level]}
        used.update(key for choice in sources for part in choice for key, _ in part)
        plan = _Plan(getters(self._message, keys), time, level, sources, frozenset(used))
        if len(keys) <= MOST_KEYS:
            if len(self._plans) >= MOST_SHAPES:
                self._plans.clear()
            self._plans[keys] = plan
        return plan

    def _event(self, fields: Object) -> str:
        text = scalar_text(value_at(fields, self._event_field or ""))
        if text is None:
            raise BadRecord(f"the object has no field {self._event_field} that could be the event")
        return text

    def _time_of(self, fields: Object, plan: _Plan, reference_us: int | None) -> tuple[int | None, bool]:
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

    def _source(self, fields: Object, plan: _Plan) -> str:
        if self._source_fields:
            named = source.joined([scalar_text(value_at(fields, name)) or "" for name in self._source_fields])
            if named:
                return named
        if self._strict_source:
            return ""
        for first, *others in plan.sources:
            head = _scalar(fields, first)
            if head:
                return source.joined([head, *(_scalar(fields, part) for part in others)])
        return ""


def _first(override: str | None, names: tuple[str, ...]) -> tuple[str, ...]:
    return names if override is None else (override, *names)


def _scalar(fields: Object, ways: list[Getter]) -> str:
    for key, rest in ways:
        value = value_at(fields[key], rest)
        text = value if isinstance(value, str) else scalar_text(value)
        if text:
            return text
    return ""


def _level(fields: Object, plan: _Plan) -> str:
    for key, rest in plan.level:
        value = value_at(fields[key], rest)
        level = otlp_level(value) if key == "severityNumber" else level_name(value)
        if level:
            return level
    return ""


def _text(fields: Object, plan: _Plan) -> str:
    blank = None
    for key, rest in plan.message:
        value = value_at(fields[key], rest)
        text = _octets(value) if isinstance(value, list) else scalar_text(value)
        if text and not text.isspace():
            return text
        blank = text if blank is None else blank
    return _described(fields, plan) if blank is None else ""


def _octets(values: list[object]) -> str | None:
    """The text of a message that journald gives as a list of bytes, because it is not UTF-8."""
    octets = [value for value in values if type(value) is int and 0 <= value <= 255]  # noqa: PLR2004  (a byte)
    return bytes(octets).decode("utf-8", "replace") if octets and len(octets) == len(values) else None


def _described(fields: Object, plan: _Plan) -> str:
    kept = {key: value for key, value in fields.items() if key not in plan.used}
    text = key_values(scalars(kept, ""))[:MOST_TEXT]
    if not text:
        raise BadRecord("the JSON object holds no message and no fields to make one of")
    return text
