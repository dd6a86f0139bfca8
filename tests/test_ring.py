"""The last lines of a source, packed: what is taken out is what a plain list of them would hold."""

from hypothesis import given
from hypothesis import strategies as st

from detector.records import EVIDENCE_BYTES, Line
from detector.stages.judge.ring import RING, RingLine, lines_of, with_events, with_line

LINES = st.lists(
    st.builds(
        lambda offset, sub, text, continuation: Line(
            "app.log", offset, sub, "web", None, "", text, text, continuation
        ),
        st.integers(0, 2**60),
        st.sampled_from([-1, -1, 0, 300]),
        st.binary(max_size=EVIDENCE_BYTES),
        st.sampled_from([False, False, True]),
    ),
    max_size=30,
)


def plain(lines: list[Line]) -> list[RingLine]:
    """The last lines as a list, each with the continuations behind it."""
    kept: list[RingLine] = []
    for line in lines:
        if not line.continuation or not kept:
            kept = [*kept, (line.position, line.text)][-RING:]
        elif len(kept[-1][1]) < EVIDENCE_BYTES:
            position, text = kept[-1]
            kept[-1] = (position, (text + b"\n" + line.text)[:EVIDENCE_BYTES])
    return kept


@given(LINES)
def test_a_ring_holds_the_last_lines(lines: list[Line]) -> None:
    """Whatever they contain, with their positions, and continuations at the end of their line."""
    ring = b""
    for number, line in enumerate(lines, start=1):
        ring = with_line(ring, line)
        assert lines_of(ring) == plain(lines[:number])


@given(LINES, st.integers(1, 12))
def test_lines_that_come_together_leave_the_same_bytes(lines: list[Line], size: int) -> None:
    """A state does not depend on how its lines were cut into batches."""
    events = [line for line in lines if not line.continuation]
    one_by_one = together = b""
    for line in events:
        one_by_one = with_line(one_by_one, line)
    for start in range(0, len(events), size):
        together = with_events(together, events[start : start + size])
    assert together == one_by_one
