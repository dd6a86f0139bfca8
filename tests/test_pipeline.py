"""The core gives the same outcome however its input is cut, and its states stay bounded."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.bundle import Bundle, NewMessages
from detector.pipeline import Batch
from detector.stages.judge import alerts as alerting
from detector.stages.judge import closing, judge, rarity, silence, stream
from detector.stages.judge.policy import Policy
from detector.stages.judge.state import decode
from tests.core_shell import (
    CELLS,
    CUTS,
    EVENTS,
    Event,
    Shard,
    batches,
    bundles_of,
    cycle,
    decoded,
    instant,
    run_whole,
    steady,
    whole_and_cut,
)
from tests.small_bundle import SECOND, TEMPLATES, policy, stream_calibration

SMALL = [
    (silence, "ARMED_EVENTS", 5),
    (judge, "QUIET_EVENTS", 15),
    (judge, "WARM_EVENTS", 3),
    (stream, "WARM_EVENTS", 3),
    (judge, "MAX_PATTERNS", 3),
    (alerting, "MAX_ALERTS", 2),
    (rarity, "EPISODE_GAP", 3),
    (rarity, "MAX_SLOTS", 6),
]


@pytest.fixture(scope="module", params=CELLS)
def bundles(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Bundle]:
    """One bundle for sessions and one for long-lived sources, for each kind of cell."""
    return bundles_of(request.param, tmp_path_factory)


@pytest.fixture(params=["usual limits", "small limits"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small ones let a short test reach what takes hundreds of events: silence, quiet, what is forgotten."""
    if request.param == "small limits":
        for module, name, value in SMALL:
            monkeypatch.setattr(module, name, value)
    return str(request.param)


def routine_soon(rules: Policy) -> Policy:
    """So slow a stream that a few bursts of new messages are news, and more of them are not."""
    stream = stream_calibration(order_bits=8.0)
    stream = msgspec.structs.replace(stream, news=NewMessages(bursts=0, events=10, day_events=20.0))
    calibration = msgspec.structs.replace(rules.calibration, stream=stream)
    return msgspec.structs.replace(rules, calibration=calibration)


@pytest.mark.parametrize(("session", "idle_s"), [(False, 3000), (False, 30), (True, 30), (True, 150)])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, cuts=CUTS, origins=st.integers(1, 3))
def test_any_cut_into_batches_gives_the_same_outcome(
    bundles: dict[bool, Bundle],
    limits: str,
    session: bool,
    idle_s: int,
    events: list[Event],
    cuts: list[int],
    origins: int,
) -> None:
    """States to the bit, alerts with their revisions, closed sources and scores do not depend on batches.

    Also where clocks are set forward and back, of one file or of several; no two alerts share an id, and
    an event that reaches its threshold has one.
    """
    bundle = bundles[session]
    small = limits == "small limits"
    rules = policy(bundle, threshold=0.5 if session else 4.0, order_bits=8.0 if small else 60.0)
    rules = routine_soon(rules) if small and not session else rules
    rules = msgspec.structs.replace(rules, idle_us=idle_s * SECOND, want_scores=small)
    if origins > 1:  # no file is so far behind the others that a life is forgotten before it goes on
        rules = msgspec.structs.replace(rules, remember_us=10**6 * SECOND)
    whole, cut = whole_and_cut(bundle, rules, events, cuts, origins)
    assert cut.summary() == whole.summary()
    timed = [alert for alert in decoded(whole.revisions) if alert.opened_at is not None]
    said = [(alert.alert_id, alert.revision) for alert in timed]
    assert len(said) == len(set(said))
    ended = [alert for alert in timed if alert.resolved_at is not None]
    assert all(instant(alert.resolved_at) >= instant(alert.opened_at) for alert in ended)
    assert all(event.alert_id for event in whole.events if event.warm and event.score >= event.threshold)


def test_many_quiet_events_resolve_an_alert_wherever_batches_end(
    bundles: dict[bool, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were enough by the last line before a pause; after it they still are, with that line's time."""
    monkeypatch.setattr(judge, "QUIET_EVENTS", 15)
    bundle = bundles[False]
    events = [(0, 0, 0, False), *steady(15, lambda i: i % 4 + 2), (0, 3, 900, False)]
    rules = policy(bundle, threshold=1e9)
    whole, cut = whole_and_cut(bundle, rules, events, [16])
    assert cut.summary() == whole.summary()
    assert decoded(cut.revisions)[-1].resolved_at == "2023-11-14T22:13:35Z"


@pytest.mark.parametrize("cuts", [[100], [1]])
def test_a_line_later_than_its_life_could_last_is_counted(
    bundles: dict[bool, Bundle], cuts: list[int]
) -> None:
    """In whatever batch it comes, and whether or not anything is left of the life that was over."""
    bundle = bundles[True]
    shard = Shard(bundle, policy(bundle, threshold=1e9, event_threshold=1e9))
    late: list[Event] = [(0, 3, 0, False), (1, 3, 60, False), (0, 4, -59, False), (2, 4, 40, False)]
    for batch in batches(late, cycle(cuts)):
        shard.run(batch)
    assert shard.late == 1


def test_state_stays_bounded_over_a_long_stream(bundles: dict[bool, Bundle]) -> None:
    """The size of a state does not follow the length of its stream."""
    bundle = bundles[False]
    shard = Shard(bundle, policy(bundle, threshold=1e9))
    sizes = []
    for batch in batches(steady(6000, lambda i: (i * 7) % TEMPLATES + 2), cycle([1000])):
        shard.run(batch)
        sizes.append(len(shard.states["s0"]))
    assert max(sizes) - min(sizes) < 100
    assert closing.due_us(decode(shard.states["s0"], bundle.id), shard.rules) is not None


def test_closing_everything_leaves_no_state(bundles: dict[bool, Bundle]) -> None:
    """A replay that has read all closes every source and resolves every alert."""
    for session in (False, True):
        bundle = bundles[session]
        shard = run_whole(bundle, policy(bundle, threshold=0.5), steady(60, lambda i: i * i % 11 + 2))
        shard.due = dict.fromkeys(shard.states, 0)
        shard.run(Batch([], [], [], 1_700_000_060 * SECOND, close_all=True))
        assert shard.states == {}
        last = {alert.alert_id: alert.status for alert in decoded(shard.revisions)}
        assert set(last.values()) <= {"resolved"}


@pytest.mark.parametrize("session", [False, True])
def test_a_state_survives_its_codec(bundles: dict[bool, Bundle], session: bool) -> None:
    """What is read is what was written, with alerts, evidence and tables; another bundle's is refused."""
    bundle = bundles[session]
    shard = Shard(bundle, policy(bundle, threshold=1e9, event_threshold=1.0))
    events = [*steady(40, lambda i: i % 12 + 2), (0, 0, 1, False), (0, 0, None, True), (0, 3, 1, False)]
    [done] = [shard.run(batch) for batch in batches(events, cycle([len(events)]))]
    data, state = shard.states["s0"], done.states["s0"]
    assert state is not None
    assert state.alerts
    assert decode(data, bundle.id) == state
    with pytest.raises(Exception, match="belongs to bundle"):
        decode(data, "other")
