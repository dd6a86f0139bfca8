"""The shard's clock: event time that one wrong stamp cannot move. Pure.

It follows the largest stamp. A stamp further than `max_future` from it, ahead or behind, is held: the line
gets the clock's time, until five such lines in a row, none of them more than `max_future` before the one
before it, confirm the jump. A feed's own time (Kafka) confirms a jump ahead at once, and refutes a stamp that
lies beyond it.
"""

import msgspec

CONFIRMING_LINES = 5


class ShardClock(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The time of a shard, and the jump that waits to be confirmed. Microseconds."""

    now_us: int | None = None
    jump_us: int = 0  # the last stamp of the waiting jump
    jump_lines: int = 0  # how many lines in a row have asked for it


def follow(
    clock: ShardClock, stamp_us: int, arrival_us: int | None, max_future_us: int
) -> tuple[ShardClock, int]:
    """The clock after a line stamped `stamp_us`, and that line's event time."""
    if arrival_us is not None and stamp_us - arrival_us > max_future_us:
        stamp_us = arrival_us
    now_us = clock.now_us
    if now_us is None:
        return ShardClock(stamp_us), stamp_us
    ahead_us = stamp_us - now_us
    if -max_future_us <= ahead_us <= max_future_us:
        if ahead_us > 0 or clock.jump_lines:
            clock = ShardClock(max(stamp_us, now_us))
        return clock, stamp_us
    if ahead_us > 0 and arrival_us is not None and arrival_us - stamp_us <= max_future_us:
        return ShardClock(stamp_us), stamp_us
    return _jump(clock, now_us, stamp_us, max_future_us)


def _jump(clock: ShardClock, now_us: int, stamp_us: int, max_future_us: int) -> tuple[ShardClock, int]:
    follows = clock.jump_lines > 0 and stamp_us >= clock.jump_us - max_future_us
    same_side = (stamp_us > now_us) == (clock.jump_us > now_us)
    lines = clock.jump_lines + 1 if follows and same_side else 1
    if lines >= CONFIRMING_LINES:
        return ShardClock(stamp_us), stamp_us
    return ShardClock(now_us, stamp_us, lines), now_us
