"""One wrong stamp moves no clock; a real jump does after five lines."""

from hypothesis import given
from hypothesis import strategies as st

from detector.stages.decode.clock import CONFIRMING_LINES, Bounds, ShardClock
from detector.stages.decode.epoch import digits, fractional, whole

HOUR = 3_600_000_000
START = 1_000 * HOUR
BOUNDS = Bounds(max_future_us=HOUR, max_pause_us=100 * HOUR)
stamps = st.integers(-(10**17), 10**17)


def follow(clock: ShardClock, *stamps_us: int, arrival_us: int | None = None) -> list[int]:
    """The event times of lines with these stamps."""
    return [clock.follow(stamp_us, arrival_us, BOUNDS) for stamp_us in stamps_us]


def test_the_clock_follows_and_never_goes_back_for_a_late_line() -> None:
    """A line that is a little late keeps its own time."""
    clock = ShardClock()
    assert follow(clock, START, START + 5, START + 3) == [START, START + 5, START + 3]
    assert clock.now_us == START + 5


def test_one_line_from_the_future_moves_nothing() -> None:
    """It gets the clock's time."""
    clock = ShardClock()
    assert follow(clock, START, 90 * START, START + 1) == [START, START, START + 1]
    assert clock == ShardClock(START + 1, 90 * START, 0)


def test_a_jump_is_believed_after_five_lines_in_a_row() -> None:
    """Forward after a long pause, backward after a clock was put right."""
    for there in (2 * START, START // 2):
        clock = ShardClock()
        found = follow(clock, START, *range(there, there + CONFIRMING_LINES))
        assert found == [START] * CONFIRMING_LINES + [there + CONFIRMING_LINES - 1]
        assert clock.now_us == there + CONFIRMING_LINES - 1


def test_the_lines_after_a_pause_keep_their_times() -> None:
    """Only the clock waits until it believes them."""
    clock = ShardClock()
    morning = [START + 9 * HOUR, START + 9 * HOUR + 5]
    assert follow(clock, START, *morning) == [START, *morning]
    assert clock.now_us == START


def test_a_line_in_between_calls_a_jump_off() -> None:
    """Lines of another zone among others do not add up to a jump."""
    clock = ShardClock()
    follow(clock, START, *[START + 8 * HOUR, START] * 9)
    assert clock.now_us == START


def test_wild_stamps_confirm_nothing() -> None:
    """Each is far before or on the other side of the one before it."""
    clock = ShardClock()
    follow(clock, START, *[5 * START, 4 * START, 3 * START, 2 * START, START // 2] * 3)
    assert clock.now_us == START


def test_a_sparse_log_still_moves_on() -> None:
    """Lines further apart than the bound confirm a jump as long as they follow one another."""
    clock = ShardClock()
    follow(clock, *range(START, START + 60 * HOUR, 10 * HOUR))
    assert clock.now_us == START + 50 * HOUR


def test_the_feed_s_own_time_decides_at_once() -> None:
    """It confirms a jump ahead, and refutes a stamp beyond it even for the first line."""
    clock = ShardClock()
    assert follow(clock, 90 * START, arrival_us=START) == [START]
    assert follow(clock, 2 * START, arrival_us=2 * START + HOUR) == [2 * START]
    assert clock.now_us == 2 * START


@given(st.lists(st.tuples(stamps, st.none() | stamps), max_size=30))
def test_a_line_s_time_is_its_own_or_the_clock_s_or_the_feed_s(found: list[tuple[int, int | None]]) -> None:
    """Nothing is made up, whatever the stamps."""
    clock = ShardClock()
    for stamp_us, arrival_us in found:
        before_us = clock.now_us
        assert clock.follow(stamp_us, arrival_us, BOUNDS) in {stamp_us, arrival_us, before_us}


@given(st.integers(10**9, 4 * 10**9), st.integers(0, 999_999))
def test_numbers_are_told_apart_by_size(seconds: int, micro: int) -> None:
    """Seconds, milliseconds, microseconds and nanoseconds, as numbers or text."""
    time_us = seconds * 1_000_000 + micro
    assert whole(seconds) == seconds * 1_000_000
    assert whole(time_us // 1_000) == time_us // 1_000 * 1_000
    assert whole(time_us) == whole(time_us * 1_000) == digits(str(time_us * 1_000)) == time_us
    assert digits(f"{seconds}.{micro:06}") == digits(f"{seconds}.{micro:06}999") == time_us
    assert fractional(time_us / 1_000_000) == time_us
    assert fractional(time_us / 1_000) == time_us


def test_what_is_no_time_is_none() -> None:
    """Zero stands for unknown in OpenTelemetry."""
    assert [whole(number) for number in (0, -1, 10**20)] == [None] * 3
    assert [fractional(number) for number in (0.0, float("nan"), float("inf"))] == [None] * 3
    assert [digits(text) for text in ("", "1.x", "x", "٣", "9" * 30)] == [None] * 5
