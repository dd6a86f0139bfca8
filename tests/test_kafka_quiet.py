"""How long a shard has been quiet: the time that the broker has had nothing, not that it was away."""

from detector.inputs.kafka.feed import Shard
from detector.inputs.kafka.lanes import Lane, Lanes

SHARD = Shard("t", 0)


def quiet_after(answers_s: list[float]) -> float | None:
    """The quiet of a shard that is at its end from 0 s on, after answers at these times."""
    lane = Lane(after=9, handed=9, position=10, end=10, answered_s=0.0)
    lanes = Lanes(begun=0, lanes={SHARD: lane})
    lanes.quiet_s(SHARD)
    for stamp, at_s in enumerate(answers_s):
        lane.hear(10, stamp, at_s)
        lane.hear(10, stamp, at_s + 0.2)  # the same answer, looked at again
    return lanes.quiet_s(SHARD)


def test_answers_that_bring_nothing_are_quiet() -> None:
    """Sessions end and silence is said by this time."""
    assert quiet_after([0.5, 1.0, 4.0]) == 4.0


def test_a_broker_that_was_away_was_not_quiet() -> None:
    """What shippers hold back meanwhile comes after its first answer, and must find its sessions open."""
    assert quiet_after([0.5, 1.0, 601.0]) == 1.0
    assert quiet_after([0.5, 1.0, 601.0, 602.0]) == 2.0
