"""Which origins of a routed partition hold back what is said of sources that are silent."""

from pathlib import Path

import pytest

from detector.distributed.arrivals import HEARD_S, MORE_S, STEP_S, Arrivals, Steady
from detector.distributed.packs import MOST_LINES, Packed, packed
from detector.distributed.routed import MARK, MORE, ORIGIN
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.shard.intake import Intake
from tests.watching import core_of

SHARD = Shard("routed", 0)
HOUR_US = 3_600_000_000


def mark(origin: str, clock_us: int, *, more: bool = False) -> KafkaRecord:
    """What a router says of an origin that has no line for this partition."""
    headers = [(ORIGIN, f"logs/{origin}/7".encode()), (MARK, b"%d" % clock_us)]
    return KafkaRecord(0, 0, None, b"", (*headers, *([(MORE, b"")] if more else [])))


@pytest.fixture
def intake(bundle: Path) -> Intake:
    """Where the records go."""
    core = core_of(bundle)
    return Intake(core.new_reader(), core.parser)


def test_an_origin_that_was_heard_a_moment_ago_is_not_overtaken(intake: Intake) -> None:
    """Routers take turns; what one brings is hours of event time when history is read."""
    arrivals = Arrivals(SHARD, [], 0.0)
    arrivals.batch(intake, [mark("0", HOUR_US)], 10.0)
    batch = arrivals.batch(intake, [mark("1", 9 * HOUR_US)], 10.0 + HEARD_S / 2)
    assert batch.clock_us == HOUR_US
    assert intake.closing_us(arrivals.unread(10.0 + HEARD_S)) == 9 * HOUR_US


def test_an_origin_whose_router_may_have_died_is_waited_for(intake: Intake) -> None:
    """Nobody routes its lines until the group has given up that one; what they continue has not ended."""
    arrivals = Arrivals(SHARD, [], 0.0, 90.0)
    arrivals.batch(intake, [mark("0", HOUR_US), mark("1", HOUR_US, more=True)], 10.0)
    assert arrivals.unread(99.0) == {"logs/0", "logs/1"}
    assert arrivals.unread(100.0) == set()


def test_an_origin_with_more_is_waited_for_while_it_says_so(intake: Intake) -> None:
    """A router that has gone away holds nothing back for ever, whatever the others bring meanwhile."""
    arrivals = Arrivals(SHARD, [], 0.0)
    arrivals.batch(intake, [mark("0", HOUR_US, more=True)], 0.0)
    for second in range(1, 60):
        batch = arrivals.batch(intake, [mark("1", (second + 1) * HOUR_US)], float(second))
        assert batch.clock_us == HOUR_US
    batch = arrivals.batch(intake, [mark("1", 100 * HOUR_US)], MORE_S)
    assert batch.clock_us == 100 * HOUR_US


def test_after_a_start_every_known_origin_may_have_more(intake: Intake) -> None:
    """Until it says that it has not, or for a minute."""
    arrivals = Arrivals(SHARD, ["logs/0", "logs/1"], 0.0)
    assert arrivals.unread(MORE_S - 1.0) == {"logs/0", "logs/1"}
    arrivals.batch(intake, [mark("0", HOUR_US)], MORE_S - 1.0)
    assert arrivals.unread(MORE_S) == {"logs/0"}
    assert arrivals.unread(MORE_S + HEARD_S) == set()


def pack(*offsets: int) -> KafkaRecord:
    """Lines from these places of an origin, numbered."""
    lines = [Packed(offset, -1, 0, None, b"line") for offset in offsets]
    value, headers = packed("logs/0", lines, more=False)
    return KafkaRecord(MOST_LINES, 0, None, value, tuple(headers))


def test_an_origin_that_is_routed_twice_is_noticed(intake: Intake) -> None:
    """As by two groups with one routed topic. A record of several logs may go on in the next pack."""
    arrivals = Arrivals(SHARD, [], 0.0)
    arrivals.batch(intake, [pack(0, 1, 2), pack(2, 4), pack(4, 9)], 0.0)
    assert not arrivals.doubled
    arrivals.batch(intake, [pack(0, 1, 2)], 0.0)
    assert list(arrivals.doubled) == ["logs/0"]


def test_time_in_which_nothing_could_be_read_is_no_silence() -> None:
    """While the process stands still, or Kafka is away; otherwise it is as long as it is."""
    clock = Steady(100.0)
    assert clock.read(100.5) == 100.5
    assert [clock.quiet(100.5 + tick, float(tick)) for tick in (1, 2, 3)] == [101.5, 102.5, 103.5]
    assert [clock.quiet(103.5 + tick, 3.0) for tick in range(1, 60)] == [103.5] * 59
    assert clock.quiet(163.0, 3.5) == 103.5 + STEP_S
    assert clock.read(900.0) == 103.5 + 2 * STEP_S
    assert clock.quiet(900.5, 0.5) == 104.0 + 2 * STEP_S
