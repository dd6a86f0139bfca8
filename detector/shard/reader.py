"""From records to lines with tokens: what serving and training share. No I/O."""

from collections.abc import Callable
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from detector.bundle import InputSettings
from detector.errors import BadSetup
from detector.records import Line, Record, Reject
from detector.stages.decode import memory as decode_memory
from detector.stages.decode.decode import Decoder
from detector.stages.decode.memory import DecodeMemory
from detector.stages.decode.rows import lines_of_rows
from detector.stages.decode.settings import DecodeSettings
from detector.stages.header.header import Headers

LatestUs = Callable[[str, int], int | None]  # of an origin, for the line at an offset
Timed = tuple[Line, int]  # a line, and its origin's clock after it; 0 before the first time


class Bounds(msgspec.Struct, frozen=True):
    """The limits of decoding that a configuration sets."""

    max_line_bytes: int = 1 << 20
    max_future_s: float = 3_600.0


class Read(msgspec.Struct, frozen=True):
    """What a stretch of records of one origin came to."""

    lines: list[Timed]
    rejects: list[Reject]
    continuations: int
    nameless: list[Line] = []  # of the lines, those in which the settings find no source though they should


class Reader:
    """Decodes origin by origin, each with a memory of its own."""

    def __init__(
        self,
        settings: InputSettings,
        headers: Headers,
        bounds: Bounds,
        latest_us: LatestUs = lambda _origin, _offset: None,
    ) -> None:
        """Prepare the decoder; `latest_us` bounds the time of an origin's first line, where it has no year.

        Raises:
            BadSetup: a setting cannot be used, or not without another.
        """
        if settings.event_field is not None and settings.parser != "exact":
            raise BadSetup(
                f"--event-field {settings.event_field} needs --parser exact: "
                "without it events are found by templates"
            )
        self._rows = settings.sequence_rows
        self._names_sources = bool(settings.source_fields) or settings.source_regex is not None
        self._decoder = Decoder(decode_settings(settings, bounds), headers, zone_of(settings))
        self._latest_us = latest_us
        self.settings, self.headers = settings, headers
        self.memories: dict[str, DecodeMemory] = {}

    def read(self, origin: str, records: list[Record]) -> Read:
        """Decode the next records of an origin."""
        if self._rows:
            lines, rejects = lines_of_rows(records)
            return Read([(line, 0) for line in lines], rejects, 0)
        memory = self.memories.get(origin) or self._begin(origin, records)
        decoded = self._decoder.decode(records, memory)
        self.memories[origin] = decoded.memory
        clocks = [clock or 0 for clock in decoded.clocks[1:]]
        if decoded.lines:
            clocks.append(decoded.memory.clock.now_us or 0)
        timed = list(zip(decoded.lines, clocks, strict=True))
        return Read(
            timed, decoded.rejects, decoded.counts.continuations, self._nameless(origin, decoded.lines)
        )

    def _begin(self, origin: str, records: list[Record]) -> DecodeMemory:
        return DecodeMemory(latest_us=self._latest_us(origin, records[0].offset) if records else None)

    def _nameless(self, origin: str, lines: list[Line]) -> list[Line]:
        """The lines that count for their file, or for no session, where the settings look for a name."""
        if not self._names_sources:
            return []
        return [line for line in lines if line.source in {"", origin} and not line.continuation]

    def forget(self, origin: str) -> None:
        """An origin is over."""
        self.memories.pop(origin, None)


def zone_of(settings: InputSettings) -> tzinfo:
    """The zone of time stamps that name none."""
    return ZoneInfo(settings.timezone) if settings.timezone else UTC


def decode_settings(settings: InputSettings, bounds: Bounds) -> DecodeSettings:
    """How the decode stage is to read."""
    return DecodeSettings(
        envelope=settings.envelope,  # type: ignore[arg-type]  # checked where it is read
        session=settings.session,
        source_fields=tuple(settings.source_fields),
        source_regex=settings.source_regex,
        first_line=settings.first_line_regex,
        unheaded_continues=settings.unheaded_continues,
        message_field=settings.message_field,
        time_field=settings.time_field,
        level_field=settings.level_field,
        trace_field=settings.trace_field,
        trace_regex=settings.trace_regex,
        event_field=settings.event_field,
        max_line_bytes=bounds.max_line_bytes,
        max_future_s=bounds.max_future_s,
    )


def encode_memories(memories: dict[str, DecodeMemory]) -> dict[str, bytes]:
    """The memories of all origins, to be committed with the fence."""
    return {origin: decode_memory.encode(memory) for origin, memory in memories.items()}


def decode_memories(data: dict[str, bytes]) -> dict[str, DecodeMemory]:
    """The memories that `encode_memories` gave."""
    return {origin: decode_memory.decode(content) for origin, content in data.items()}
