"""Times as lines and fields write them, with the fraction and the zone that some kinds end in. Pure.

What stands before these is the same for a second at least: that part is read from the clock's memory.
"""

import re
from datetime import UTC, tzinfo

from detector.stages.header.timestamp import PATTERNS, Clock

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
# Kinds that may end in a fraction and a zone, and where their seconds end.
_SECONDS_END = {"iso": 19, "slashes": 19, "access": 20}
_OF_FIELDS = [kind for kind in PATTERNS if kind != "day-first"]  # of one field nobody can tell
_TAIL = re.compile(rb"(?:[.,](\d{1,9}))?( ?(?:Z|UTC|GMT|([+-])([01]\d|2[0-3]):?([0-5]\d)))?$")


class Stamps:
    """Reads times; holds the days it has seen."""

    def __init__(self, zone: tzinfo) -> None:
        """`zone` is that of the times that name none."""
        self._clock = Clock(zone)
        self._utc = Clock(UTC)

    def read(self, kind: str, written: bytes, reference_us: int | None) -> int | None:
        """The time of a stamp of a known kind, near to the reference where it leaves out its year or date."""
        end = _SECONDS_END.get(kind)
        if end is None or len(written) <= end:
            return self._clock.read(kind, written, reference_us)
        tail = _TAIL.match(written, end)
        if tail is None:
            return self._clock.read(kind, written, reference_us)
        fraction, zone, sign, hours, minutes = tail.groups()
        time_us = (self._clock if zone is None else self._utc).read(kind, written[:end], reference_us)
        if time_us is None:
            return None
        if fraction is not None:
            time_us += int(fraction.ljust(6, b"0")[:6])
        if sign is None:
            return time_us
        offset_us = int(hours) * HOUR_US + int(minutes) * MINUTE_US
        return time_us - offset_us if sign == b"+" else time_us + offset_us

    def in_field(self, text: str, reference_us: int | None) -> int | None:
        """The time that a field holds, by the first kind of time stamp that it is."""
        written = text.strip().encode("utf-8", "replace")
        for kind in _OF_FIELDS:
            time_us = self.read(kind, written, reference_us)
            if time_us is not None:
                return time_us
        return None
