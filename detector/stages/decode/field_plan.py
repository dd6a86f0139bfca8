"""Where an object's message, time, level, trace and source are, worked out once a set of keys. Pure.

The memory of keys is bounded and changes no output.
"""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from detector.stages.decode.fields import Getter, Object, getters, is_there
from detector.stages.decode.settings import DecodeSettings
from detector.stages.decode.source import DEFAULT_SOURCES

MOST_SHAPES = 1_000  # sets of keys remembered; forgotten together when full
MOST_KEYS = 100  # of an object whose shape is remembered

Keys = tuple[str, ...]
Ways = list[Getter]
Shape = TypeVar("Shape")


class Names(msgspec.Struct, frozen=True):
    """Where to look, best first."""

    message: Keys
    time: Keys
    level: Keys
    described: str = ""  # key of the object that tells by its fields what no message does; else all of them


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
OTLP = Names(
    message=("body", "body.message", "body.msg", "eventName"),
    time=("timeUnixNano", "observedTimeUnixNano"),
    level=("severityText", "severityNumber"),
    described="body",
)


class Plan(msgspec.Struct, frozen=True):
    """The ways to each part, best first; a source is a choice of parts."""

    message: Ways
    time: Ways
    level: Ways
    trace: Ways
    sources: list[list[Ways]]
    entered: Keys  # keys whose values some way goes into
    used: frozenset[str]  # keys that are no part of an object's text


class Plans:
    """Plans by the keys of objects, and of the objects in them that matter."""

    def __init__(self, names: Names, settings: DecodeSettings) -> None:
        """Put the fields that the settings name before those that are usual."""
        self._message = _first(settings.message_field, names.message)
        self._time = _first(settings.time_field, names.time)
        self._level = _first(settings.level_field, names.level)
        self._trace = _first(settings.trace_field, ())
        self._outer: dict[Keys, Plan] = {}
        self._inner: dict[tuple[Keys, ...], Plan] = {}

    def of(self, fields: Object) -> Plan:
        """The plan for an object."""
        keys = tuple(fields)
        plan = self._outer.get(keys)
        if plan is None:
            plan = self._plan(keys)
            _remember(self._outer, keys, plan, len(keys))
        if not plan.entered:
            return plan
        inner = [tuple(value) if isinstance(value, dict) else () for value in map(fields.get, plan.entered)]
        shape = (keys, *inner)
        narrow = self._inner.get(shape)
        if narrow is None:
            narrow = _narrowed(plan, fields)
            _remember(self._inner, shape, narrow, max(map(len, shape)))
        return narrow

    def _plan(self, keys: Keys) -> Plan:
        message, time, level, trace = (
            getters(names, keys) for names in (self._message, self._time, self._level, self._trace)
        )
        choices = [[getters(names, keys) for names in choice] for choice in DEFAULT_SOURCES]
        sources = [choice for choice in choices if choice[0]]
        ways = [*message, *time, *level, *trace, *_all_ways(sources)]
        entered = tuple(dict.fromkeys(key for key, rest in ways if rest))
        return Plan(message, time, level, trace, sources, entered, _used(time, level, sources))


def _narrowed(plan: Plan, fields: Object) -> Plan:
    """The plan without the ways that lead nowhere in this object."""
    message, time, level, trace = (
        [way for way in ways if is_there(fields, way)]
        for ways in (plan.message, plan.time, plan.level, plan.trace)
    )
    choices = [[[way for way in part if is_there(fields, way)] for part in choice] for choice in plan.sources]
    sources = [choice for choice in choices if choice[0]]
    return Plan(message, time, level, trace, sources, (), _used(time, level, sources))


def _used(time: Ways, level: Ways, sources: list[list[Ways]]) -> frozenset[str]:
    return frozenset(key for key, _ in [*time, *level, *_all_ways(sources)])


def _all_ways(sources: list[list[Ways]]) -> Iterable[Getter]:
    return (way for choice in sources for part in choice for way in part)


def _remember(memory: dict[Shape, Plan], shape: Shape, plan: Plan, keys: int) -> None:
    if keys <= MOST_KEYS:
        if len(memory) >= MOST_SHAPES:
            memory.clear()
        memory[shape] = plan


def _first(override: str | None, names: Keys) -> Keys:
    return names if override is None else (override, *names)
