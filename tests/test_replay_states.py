"""What a replay keeps of its sources: all that is due is found, and the queue stays small."""

from hypothesis import given
from hypothesis import strategies as st

from detector.embedded.memory import MOST_STALE, MemoryStates
from detector.stages.judge.state import SourceState

KEPT = st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 100), st.booleans()), max_size=80)


@given(KEPT, st.integers(0, 101))
def test_what_is_due_is_what_was_said_last(kept: list[tuple[int, int | None, bool]], clock_us: int) -> None:
    """A source is due by the time that came with its newest state, or not at all, or it is gone."""
    states, expected = MemoryStates(), dict[str, int]()
    for number, due_us, lives in kept:
        source = f"s{number}"
        states.keep({source: SourceState(b"") if lives else None}, {source: due_us})
        expected.pop(source, None)
        if lives and due_us is not None:
            expected[source] = due_us
    assert states.due(clock_us) == {source for source, due_us in expected.items() if due_us < clock_us}
    assert states.due(clock_us) == set()


def test_a_source_that_is_put_off_leaves_nothing_in_the_queue() -> None:
    """Every batch of a long-lived source moves its deadline, which no clock reaches for days."""
    states = MemoryStates()
    for at in range(1000):
        states.keep({"s": SourceState(b"")}, {"s": at})
    assert len(states._queue) <= 2 * MOST_STALE
    assert states.due(1000) == {"s"}
