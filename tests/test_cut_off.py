"""A session that the end of the input cuts off is not taken for one that stopped half-way."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from detector.bundle import Bundle, Pauses
from detector.pipeline import Batch, advance
from detector.records import ClosedSource
from detector.stages.judge.pauses import goes_on, pause_class
from detector.stages.judge.policy import Policy
from tests.core_shell import Event, batches, cycle
from tests.small_bundle import EXPLAIN, SECOND, policy, small_bundle
from tests.test_spool import grouped_of
from training.spool import NO_TIME
from training.unfinished import finished

WORK, DONE = 2, 3  # tokens
EVENTS: list[Event] = [(0, WORK, 1, False), (0, WORK, 1, False), (1, WORK, 0, False), (1, DONE, 1, False)]
END_US = 1_700_000_003 * SECOND  # of the last of them


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for sessions, which are quiet up to 16 seconds after WORK and end with DONE."""
    made = small_bundle(tmp_path_factory.mktemp("bundle"), session=True)
    assert made.calibration.session is not None
    row = [0] * pause_class(16 * SECOND)
    pauses = Pauses(went_on=[[], [], [*row, 9], []], ended=[[], [], [*row, 1], [*row, 10]])
    session = msgspec.structs.replace(made.calibration.session, pauses=pauses)
    return msgspec.structs.replace(
        made, calibration=msgspec.structs.replace(made.calibration, session=session)
    )


def closed_by_replay(bundle: Bundle, clock_us: int, *, alone: bool = False) -> dict[str, ClosedSource]:
    """The sources that a replay closes whose clock ends there, in one batch or with an ending `alone`."""
    rules: Policy = policy(bundle, threshold=-1.0, event_threshold=1e9)
    [batch] = batches(EVENTS, cycle([len(EVENTS)]))
    lines, tokens, clocks = batch.lines, batch.tokens, [*batch.clocks, batch.clock_us or 0]
    states = {}
    if alone:
        done = advance({}, Batch(lines, tokens, clocks[:-1], clocks[-1]), bundle, rules, EXPLAIN)
        states = {source: state for source, state in done.states.items() if state is not None}
        lines, tokens, clocks = [], [], clocks[-1:]
    last = advance(
        states, Batch(lines, tokens, clocks[:-1], clock_us, close_all=True), bundle, rules, EXPLAIN
    )
    return {closed.source: closed for closed in last.closed}


def test_what_may_still_go_on_is_judged_without_an_ending(bundle: Bundle) -> None:
    """After WORK sessions are quiet for so long; after DONE they are over."""
    closed = closed_by_replay(bundle, END_US + 10 * SECOND)
    assert (closed["s0"].cut_off, closed["s0"].end_surprise_bits) == (True, None)
    assert not closed["s1"].cut_off
    assert closed["s1"].end_surprise_bits is not None


def test_what_was_quiet_for_longer_than_any_session_is_over(bundle: Bundle) -> None:
    """No session of training went on after such a pause."""
    assert not closed_by_replay(bundle, END_US + 20 * SECOND)["s0"].cut_off


def test_an_ending_in_a_batch_of_its_own_is_the_same(bundle: Bundle) -> None:
    """Scores do not depend on where the last batch was cut."""
    clock_us = END_US + 10 * SECOND
    assert closed_by_replay(bundle, clock_us) == closed_by_replay(bundle, clock_us, alone=True)


def test_most_sessions_decide() -> None:
    """As many endings as goings-on, or nothing seen of a template, is an ending."""
    pauses = Pauses(went_on=[[], [0, 2, 1]], ended=[[], [0, 1, 1]])
    assert [goes_on(pauses, 1, at) for at in (0, 1000, 2000, 4000)] == [True, True, False, False]
    assert not goes_on(pauses, 0, 0)
    assert not goes_on(pauses, 7, 0)


def test_fitting_leaves_out_what_the_end_of_the_logs_cut_off(tmp_path: Path) -> None:
    """Twenty jobs of two events, a second apart; the last two had only begun."""
    rows = [(job, token, (job + (token == DONE)) * SECOND) for job in range(20) for token in (WORK, DONE)]
    begun = [(job, WORK, 20 * SECOND) for job in (20, 21)]
    grouped = grouped_of(tmp_path, *rows, *begun)
    lives = [(int(a), int(b)) for a, b in zip(grouped.starts[:-1], grouped.starts[1:], strict=True)]
    over, pauses = finished(grouped, lives, 4, 20 * SECOND, 10)
    assert over == lives[:20]
    assert sum(pauses.went_on[WORK]) == 20
    assert not sum(pauses.ended[WORK])
    assert sum(pauses.ended[DONE]) == 20
    assert finished(grouped, lives, 4, 20 * SECOND, 21)[0] == lives  # too few would be left


def test_sessions_without_times_are_never_cut_off(tmp_path: Path) -> None:
    """Nothing is known of their pauses."""
    grouped = grouped_of(tmp_path, (0, WORK, NO_TIME), (1, WORK, NO_TIME))
    assert finished(grouped, [(0, 1), (1, 2)], 4, None, 0) == ([(0, 1), (1, 2)], Pauses([], []))


def test_classes_of_pauses_are_the_same_in_training_and_serving() -> None:
    """Training takes the bit length by the exponent of a float."""
    pauses = [0, 1, 2, 3, 4, 1023, 1024, 10**9, 2**40 - 1]
    assert np.frexp(np.array(pauses, np.float64))[1].tolist() == [pause_class(p * 1000) for p in pauses]
