"""When the core's alerts open and resolve, over the lives of a source."""

import msgspec
import pytest

from detector.bundle import Bundle
from detector.pipeline import Batch
from detector.records import Silence
from detector.stages.judge.state import decode
from tests.core_shell import (
    CELLS,
    Event,
    Shard,
    batches,
    bundles_of,
    cycle,
    decoded,
    run_whole,
    same_text,
    steady,
)
from tests.small_bundle import SECOND, policy


@pytest.fixture(scope="module", params=CELLS)
def bundles(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Bundle]:
    """One bundle for sessions and one for long-lived sources, for each kind of cell."""
    return bundles_of(request.param, tmp_path_factory)


@pytest.mark.parametrize("session", [False, True])
def test_an_alert_outlives_what_is_remembered_of_its_life(bundles: dict[bool, Bundle], session: bool) -> None:
    """While it fires, the life that it is of is not due to be forgotten: a clock would never be done."""
    bundle = bundles[session]
    rules = msgspec.structs.replace(
        policy(bundle, threshold=1e9), idle_us=30 * SECOND, remember_us=100 * SECOND, resolve_us=500 * SECOND
    )
    shard = run_whole(bundle, rules, [(0, 0, 0, False)])
    begun = 1_700_000_000 * SECOND
    for tick_s in (40, 200, 501, 503):
        shard.settle(begun + tick_s * SECOND)
    assert shard.states == {}
    assert [alert.status for alert in decoded(shard.revisions)] == ["firing", "resolved"]


def test_an_unknown_line_opens_one_alert_for_its_pattern(bundles: dict[bool, Bundle]) -> None:
    """The same unknown text again grows the alert; it opens no second one."""
    bundle = bundles[False]
    rules = policy(bundle, threshold=1e9)
    events = [*steady(40, lambda i: i % 4 + 2), (0, 0, 1, False), *steady(5, lambda i: i % 4 + 2)]
    shard = run_whole(bundle, rules, events)
    alerts = decoded(shard.revisions)
    assert [(a.rule, a.revision, a.status) for a in alerts] == [
        ("new-template", 1, "firing"),
        ("new-template", 2, "firing"),
    ]
    assert alerts[0].lines[-1].role == "event"
    assert [line.role for line in alerts[1].lines] == ["before"] * 8 + ["event"] + ["after"] * 3
    assert alerts[1].template is not None
    assert alerts[1].template.first_seen


def test_an_alert_resolves_after_quiet_in_event_time(bundles: dict[bool, Bundle]) -> None:
    """Nobody has to wait for wall time: a tick of the clock past the quiet time resolves it."""
    bundle = bundles[False]
    shard = run_whole(bundle, policy(bundle, threshold=1e9), [(0, 0, 1, False)])
    opened = 1_700_000_001 * SECOND
    shard.run(Batch([], [], [], opened + 62 * SECOND))
    assert len(shard.revisions) == 1
    shard.run(Batch([], [], [], opened + 63 * SECOND))
    last = decoded(shard.revisions)[-1]
    assert (last.status, last.resolved_at) == ("resolved", "2023-11-14T22:14:21Z")


def test_silence_is_said_by_a_tick_and_by_the_next_line_alike(bundles: dict[bool, Bundle]) -> None:
    """The alert has the same id and content, whichever notices it."""
    bundle = bundles[False]
    rules = policy(bundle, threshold=1e9)
    talk = steady(250, lambda i: i % 4 + 2)
    by_tick, by_line = run_whole(bundle, rules, talk), run_whole(bundle, rules, [*talk, (0, 3, 50, False)])
    by_tick.run(Batch([], [], [], 1_700_000_250 * SECOND + 20 * SECOND))
    assert by_tick.revisions[0] == by_line.revisions[0]
    first = decoded(by_line.revisions)[0]
    assert (first.rule, first.position) == ("silence", "249")
    assert first.silence == Silence(longest_gap_s=1.0, silent_after_s=3.0)
    assert decoded(by_line.revisions)[-1].status == "resolved"


def test_a_session_ends_after_its_idle_time_and_is_judged(bundles: dict[bool, Bundle]) -> None:
    """A closed session leaves a row with its score, and nothing in the store once its alerts are over."""
    bundle = bundles[True]
    shard = run_whole(bundle, policy(bundle, threshold=1e9, event_threshold=1e9), steady(6, lambda i: i + 2))
    assert not shard.closed
    shard.run(Batch([], [], [], 1_700_000_006 * SECOND + 33 * SECOND))
    [closed] = shard.closed
    assert (closed.source, closed.events, closed.unknown, closed.anomalous) == ("s0", 6, 0, False)
    assert closed.end_surprise_bits is not None
    assert shard.states == {}


def test_an_anomalous_session_alerts_at_its_end_and_resolves_later(bundles: dict[bool, Bundle]) -> None:
    """The source is kept as a tombstone until nothing can be mistaken for its alert, then it is gone."""
    bundle = bundles[True]
    shard = run_whole(bundle, policy(bundle, threshold=-1.0, event_threshold=1e9), steady(6, lambda i: i + 2))
    end = 1_700_000_006 * SECOND
    shard.run(Batch([], [], [], end + 33 * SECOND))
    assert [a.status for a in decoded(shard.revisions)] == ["firing"]
    assert shard.closed[0].anomalous
    assert len(shard.states["s0"]) < 3000
    shard.run(Batch([], [], [], end + 63 * SECOND))
    assert [a.status for a in decoded(shard.revisions)] == ["firing", "resolved"]
    assert len(shard.states["s0"]) < 300
    shard.run(Batch([], [], [], end + 1003 * SECOND))
    assert shard.states == {}


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("cuts", [[100], [1]])
def test_a_life_that_begins_like_one_before_it_has_alerts_of_its_own(
    bundles: dict[bool, Bundle], session: bool, cuts: list[int]
) -> None:
    """The same unknown line at the same instant: late behind other sources, and again after a tick."""
    bundle = bundles[session]
    rules = msgspec.structs.replace(policy(bundle, threshold=1e9), idle_us=30 * SECOND)
    shard = Shard(bundle, rules)
    late: list[Event] = [(0, 0, 0, False), (1, 3, 50, False), (0, 0, -50, False), (1, 3, 50, False)]
    for batch in batches(late, cycle(cuts)):
        shard.run(same_text(batch))
    begun = 1_700_000_000 * SECOND
    for tick_s in (100, 200):
        shard.run(Batch([], [], [], begun + tick_s * SECOND))
        for batch in batches(late[:1], cycle([1])):
            shard.run(same_text(batch))
    firing = [
        alert.alert_id for alert in decoded(shard.revisions) if alert.revision == 1 and alert.source == "s0"
    ]
    assert len(firing) == 4
    assert len(set(firing)) == 4


def test_an_uneventful_life_between_does_not_make_one_forgotten(bundles: dict[bool, Bundle]) -> None:
    """A late life that is older than the one that alerted leaves that one's memory as it was."""
    bundle = bundles[True]
    rules = policy(bundle, threshold=1e9, event_threshold=1e9)
    shard = Shard(bundle, msgspec.structs.replace(rules, remember_us=60 * SECOND))
    times: list[Event] = [(0, 0, 100, False), (1, 3, 50, False), (0, 3, -90, False), (1, 3, 95, False)]
    for batch in batches([*times, (0, 0, -55, False)], cycle([1])):
        shard.run(same_text(batch))
    opened = [a for a in decoded(shard.revisions) if a.source == "s0" and a.revision == 1]
    assert [a.opened_at for a in opened] == ["2023-11-14T22:15:00Z"] * 2
    assert opened[0].alert_id != opened[1].alert_id


def test_alerts_of_ended_lives_are_bounded(bundles: dict[bool, Bundle]) -> None:
    """A source that begins anew with every line carries its newest alerts on; the oldest are resolved."""
    bundle = bundles[True]
    rules = policy(bundle, threshold=1e9)
    again: list[Event] = [event for _ in range(40) for event in [(0, 0, -40, False), (1, 3, 40, False)]]
    shard, cut = run_whole(bundle, rules, again), Shard(bundle, rules)
    for batch in batches(again, cycle([1])):
        cut.run(batch)
        assert all(len(decode(state, bundle.id).alerts) <= 5 for state in cut.states.values())
    assert cut.summary() == shard.summary()
    last = {alert.alert_id: alert.status for alert in decoded(shard.revisions)}
    assert (len(last), list(last.values()).count("resolved")) == (40, 35)


def test_an_alert_does_not_end_before_it_began(bundles: dict[bool, Bundle]) -> None:
    """A source falls silent, and its clock is set back before it speaks again."""
    bundle = bundles[False]
    talk = [*steady(250, lambda i: i % 4 + 2), (1, 3, 50, False), (0, 3, -300, False)]
    shard = run_whole(bundle, policy(bundle, threshold=1e9), talk)
    silence = [alert for alert in decoded(shard.revisions) if alert.rule == "silence"]
    assert [alert.status for alert in silence] == ["firing", "resolved"]
    assert silence[1].resolved_at == silence[0].opened_at


@pytest.mark.parametrize("session", [False, True])
def test_the_end_of_a_replay_says_nothing_of_later(bundles: dict[bool, Bundle], session: bool) -> None:
    """A silence, or an alert that is over, that would come before the idle time-out but after the end."""
    bundle = bundles[session]
    rules = policy(bundle, threshold=1e9, event_threshold=1e9)
    rules = msgspec.structs.replace(rules, idle_us=30 * SECOND, resolve_us=10 * SECOND)
    shard = run_whole(bundle, rules, [*steady(250, lambda i: i % 4 + 2), (0, 0, 1, False)])
    shard.due = dict.fromkeys(shard.states, 0)
    shard.run(Batch([], [], [], 1_700_000_252 * SECOND, close_all=True))
    alerts = decoded(shard.revisions)
    assert [(a.rule, a.status) for a in alerts] == [("new-template", "firing"), ("new-template", "resolved")]
    assert alerts[-1].resolved_at == "2023-11-14T22:17:32Z"


def test_a_host_whose_clock_is_behind_is_not_reported_line_by_line(bundles: dict[bool, Bundle]) -> None:
    """Its distance from the shard's clock is its habit; after a few alerts it counts as such."""
    bundle = bundles[False]
    ahead: list[Event] = [(0, i % 4 + 2, 1, False) for i in range(600)]
    behind: list[Event] = [
        event for i, one in enumerate(ahead) for event in (one, (1, i % 3 + 2, -60, False), (2, 2, 60, False))
    ]
    shard = run_whole(bundle, policy(bundle, threshold=1e9), behind)
    silences = {alert.alert_id for alert in decoded(shard.revisions) if alert.rule == "silence"}
    assert len(silences) <= 10


def test_more_new_messages_than_alerts_are_one_odd_sequence(bundles: dict[bool, Bundle]) -> None:
    """A burst of a hundred new patterns opens a bounded number of alerts, and loses none of the news."""
    bundle = bundles[False]
    burst: list[Event] = [(0, 0, 0, False) for _ in range(100)]
    shard = run_whole(bundle, policy(bundle, threshold=4.0), [*steady(60, lambda i: i % 4 + 2), *burst])
    rules = [alert.rule for alert in decoded(shard.revisions) if alert.revision == 1]
    assert rules.count("new-template") == 8
    assert rules.count("sequence") >= 1
