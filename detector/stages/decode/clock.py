"""The shard's clock: event time that one wrong stamp cannot move. Pure: it is told the time.

It follows the largest stamp. A stamp further than `max_future` from it, ahead or behind, does not move it
until five such lines in a row, none of them more than `max_future` before the one before it, confirm the
jump. Logs do pause, so the line keeps its time unless the jump is longer than `max_pause`: then it has the
clock's. A feed's own time (Kafka) confirms a jump ahead at once, and refutes a stamp that lies beyond it.
"""

import msgspec

CONFIRMING_LINES = 5


class Bounds(msgspec.Struct, frozen=True):
    """How far a stamp may be from the clock. Microseconds."""

    max_future_us: int  # to move it at once
    max_pause_us: int  # to be believed for its own line


class ShardClock(msgspec.Struct, array_like=True, gc=False):
    """The time of a shard, and the jump that waits to be confirmed. Microseconds."""

    now_us: int | None = None
    jump_us: int = 0  # the last stamp of the waiting jump
    jump_lines: int = 0  # how many lines in a row have asked for it

    def follow(self, stamp_us: int, arrival_us: int | None, bounds: Bounds) -> int:
        """Move the clock for a line stamped `stamp_us`, and say that line's event time."""
        now_us, max_future_us = self.now_us, bounds.max_future_us
        if arrival_us is not None and stamp_us - arrival_us > max_future_us:
            stamp_us = arrival_us
        if now_us is None:
            self._jump_to(stamp_us)
        elif -max_future_us <= stamp_us - now_us <= max_future_us:
            self.jump_lines = 0
            if stamp_us > now_us:
                self.now_us = stamp_us
        elif stamp_us > now_us and arrival_us is not None and arrival_us - stamp_us <= max_future_us:
            self._jump_to(stamp_us)
        else:
            return self._wait(now_us, stamp_us, bounds)
        return stamp_us

    def _wait(self, now_us: int, stamp_us: int, bounds: Bounds) -> int:
        """Leave the clock until enough of such stamps have come."""
        same_side = (stamp_us > now_us) == (self.jump_us > now_us)
        follows = same_side and stamp_us >= self.jump_us - bounds.max_future_us
        self.jump_lines = self.jump_lines + 1 if self.jump_lines and follows else 1
        self.jump_us = stamp_us
        if self.jump_lines < CONFIRMING_LINES:
            return stamp_us if abs(stamp_us - now_us) <= bounds.max_pause_us else now_us
        self._jump_to(stamp_us)
        return stamp_us

    def _jump_to(self, stamp_us: int) -> None:
        self.now_us = stamp_us
        self.jump_us = self.jump_lines = 0
