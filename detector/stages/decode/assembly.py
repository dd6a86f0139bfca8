"""The lines of a batch as they come to be, each settled against what was before it. Pure."""

from copy import copy

import msgspec

from detector.records import EVIDENCE_BYTES, Line, Record, Reject
from detector.stages.decode.clock import Bounds
from detector.stages.decode.entry import Entry, shortened
from detector.stages.decode.memory import DecodeMemory, OriginMemory
from detector.stages.decode.settings import DecodeSettings

MOST_LEAN = 8  # so many records of one kind in a row weigh as much as any more
_NOTHING = OriginMemory("", None)


class DecodeCounts(msgspec.Struct):
    """What shells count of a batch."""

    blank: int = 0
    continuations: int = 0
    held: int = 0  # stamps too far from the clock, replaced by it
    bad_times: int = 0  # times in an envelope that could not be read
    sourceless: int = 0  # lines that name no session


class Decoded(msgspec.Struct, frozen=True):
    """The lines of a batch, the shard's clock before each of them, and what was put aside."""

    lines: list[Line]
    clocks: list[int | None]
    rejects: list[Reject]
    memory: DecodeMemory
    counts: DecodeCounts


class Assembly:
    """Collects the lines of one batch; its public attributes are what reading the next one may depend on."""

    origin: str
    reference_us: int | None  # a time near to the record's
    latest_us: int | None  # set while nothing but this is known of the record's time
    has_first_line: bool  # the origin has had one
    headed: bool  # the origin's last first line had a header with a time
    lean: int  # above 0: the origin's records are JSON; below: text
    _record: Record
    _source: str
    _time_us: int | None
    _continuations: int
    _stamped: bool

    def __init__(self, settings: DecodeSettings, memory: DecodeMemory) -> None:
        """Start from the memory, which stays as it is."""
        self._settings = settings
        self._bounds = Bounds(settings.max_future_us, settings.max_pause_us)
        self._doubtful = Bounds(settings.max_future_us, 0)  # for times that are not the lines' own
        self._origins = dict(memory.origins)
        self._clock = copy(memory.clock)
        self._latest_us = memory.latest_us
        self._lines: list[Line] = []
        self._clocks: list[int | None] = []
        self._rejects: list[Reject] = []
        self._blank = self._rest = self._held = self._bad_times = 0
        self._fresh = True  # no record yet
        self.origin = ""
        self.has_first_line = False

    def turn_to(self, record: Record) -> None:
        """Make this record the present one."""
        self._record = record
        if record.origin != self.origin or self._fresh:
            self._fresh = False
            self._leave()
            self._enter(record.origin)
        if self._time_us is None:
            self._look_around(record)

    def blank(self) -> None:
        """The present record has nothing to say."""
        self._blank += 1

    def note(self, entry: Entry) -> None:
        """The present record has an envelope."""
        self._bad_times += entry.bad_time
        self._continuations = 0
        self.headed = False

    def is_object(self) -> None:
        """The present record is JSON; an origin that has had no line is not remembered, nor is this."""
        if self.has_first_line and self.lean < MOST_LEAN:
            self.lean += 1

    def starts(self, headed: bool) -> None:
        """The present record is text, and no continuation."""
        self._continuations = 0
        self.headed = headed
        if self.lean > -MOST_LEAN:
            self.lean -= 1

    def line(
        self, sub: int, source: str, stamp_us: int | None, level: str, message: bytes, text: bytes, trace: str
    ) -> None:
        """Add an event. Its time is its own, else the feed's, else the origin's last, as the clock allows.

        Lines that bear times may be of long ago. One among them that bears none is then not of today, when
        the feed took it in: not before several such lines in a row say so.
        """
        record = self._record
        clock = self._clock
        self._clocks.append(clock.now_us)
        self._source = source
        self.has_first_line = True
        arrival_us, bounds = record.time_us, self._bounds
        if stamp_us is not None:
            self._stamped = True
        else:
            stamp_us = arrival_us
            if self._stamped:
                arrival_us, bounds = None, self._doubtful
        time_us = self._time_us
        if stamp_us is not None and (stamp_us != time_us or stamp_us != clock.now_us or clock.jump_lines):
            time_us = clock.follow(stamp_us, arrival_us, bounds)
            if bounds is self._doubtful and time_us == stamp_us:
                self._stamped = False  # the feed's times are those of its lines
            self._time_us = self.reference_us = time_us
            self.latest_us = None
            if time_us != stamp_us:
                self._held += 1
        if len(text) > EVIDENCE_BYTES:
            text = shortened(text, EVIDENCE_BYTES)
        self._lines.append(
            Line(
                record.origin,
                record.offset,
                sub,
                source,
                time_us,
                level,
                message,
                text,
                False,
                record.place,
                trace,
            )
        )

    def continues(self, raw: bytes, counted: bool) -> bool:
        """Add evidence to the line before; refused after too much of the counted kind in a row."""
        self._continuations += counted
        if self._continuations > self._settings.max_continuations:
            # Not all lines that look like the rest of others are: from here on they are events.
            self._continuations = self._settings.max_continuations
            self.headed = False
            return False
        self._rest += 1
        self._clocks.append(self._clock.now_us)
        text = shortened(raw, EVIDENCE_BYTES)
        offset, place = self._record.offset, self._record.place
        rest = Line(self.origin, offset, -1, self._source, self._time_us, "", raw, text, True, place)
        self._lines.append(rest)
        return True

    def reject(self, reason: str) -> None:
        """Put the present record aside."""
        value = self._record.value[: self._settings.max_reject_bytes]
        self._rejects.append(Reject(self.origin, self._record.offset, reason, value))

    def decoded(self) -> Decoded:
        """All of it, with the memory for the next batch."""
        self._leave()
        sourceless = sum(not line.source for line in self._lines)
        counts = DecodeCounts(self._blank, self._rest, self._held, self._bad_times, sourceless)
        memory = DecodeMemory(self._clock, self._origins, self._latest_us)
        return Decoded(self._lines, self._clocks, self._rejects, memory, counts)

    def _look_around(self, record: Record) -> None:
        """Find a time near to that of an origin's first line."""
        self.reference_us = self._clock.now_us if record.time_us is None else record.time_us
        if self.reference_us is None:
            self.reference_us = self.latest_us = self._latest_us

    def _enter(self, origin: str) -> None:
        self.origin = origin
        known = self._origins.get(origin)
        self.has_first_line = known is not None
        memory = known or _NOTHING
        self._source = memory.source
        self._time_us = self.reference_us = memory.time_us
        self.latest_us = None
        self._continuations, self.lean, self.headed = memory.continuations, memory.json_lean, memory.headed
        self._stamped = memory.stamped

    def _leave(self) -> None:
        if not self.has_first_line:
            return
        self._origins.pop(self.origin, None)
        self._origins[self.origin] = OriginMemory(
            self._source, self._time_us, self._continuations, self.lean, self.headed, self._stamped
        )
        if len(self._origins) > self._settings.max_origins:
            del self._origins[next(iter(self._origins))]
