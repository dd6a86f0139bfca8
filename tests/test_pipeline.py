"""The core gives the same outcome however its input is cut, and holds what it promises of alerts."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.bundle import Bundle, NewMessages
from detector.pipeline import Advance, Batch, advance
from detector.records import Alert, ClosedSource, Line, Revision, ScoredEvent, Silence
from detector.shard.clocks import Clocks
from detector.stages.judge import alerts as alerting
from detector.stages.judge import closing, judge, rarity, silence, stream
from detector.stages.judge.policy import Policy
from detector.stages.judge.state import SourceState, decode, encode
from tests.small_bundle import EXPLAIN, SECOND, TEMPLATES, policy, small_bundle, stream_calibration

Event = tuple[int, int, int | None, bool]  # source, token, seconds since the one before, continuation

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, TEMPLATES).map(lambda i: 0 if i == TEMPLATES else i + 2),
        st.sampled_from([0, 0, 0, 1, 1, 2, 5, 25, 40, 100, -1, -2, -60, 500, -400, None]),
        st.sampled_from([False] * 7 + [True]),
    ),
    min_size=1,
    max_size=120,
)
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
FALL = 100 * SECOND  # a clock that is so far behind the one before has been set back
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=12)


@pytest.fixture(scope="module", params=["gru", "lstm", "rnn"])
def bundles(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Bundle]:
    """One bundle for sessions and one for long-lived sources, for each kind of cell."""
    return {
        session: small_bundle(tmp_path_factory.mktemp("bundle"), session=session, cell=request.param)
        for session in (False, True)
    }


class Shard:
    """A shell in memory: states go through their codec between batches, as they would through a store."""

    def __init__(self, bundle: Bundle, rules: Policy) -> None:
        """Start with nothing."""
        self.bundle, self.rules = bundle, rules
        self.states: dict[str, bytes] = {}
        self.due: dict[str, int] = {}
        self.revisions: list[Revision] = []
        self.closed: list[ClosedSource] = []
        self.events: list[ScoredEvent] = []
        self.late = 0

    def run(self, batch: Batch) -> Advance:
        """Advance by one batch and keep its effects."""
        wanted = {line.source for line in batch.lines}
        wanted |= {source for source, due in self.due.items() if due < batch.latest_us}
        states = {s: decode(self.states[s], self.bundle.id) for s in wanted if s in self.states}
        done = advance(states, batch, self.bundle, self.rules, EXPLAIN)
        for source, state in done.states.items():
            self._keep(source, state, done.due_us.get(source))
        self.revisions += done.revisions
        self.closed += done.closed
        self.events += done.events
        self.late += done.late
        return done

    def settle(self, clock_us: int) -> None:
        """Say what the clock alone calls for; what has been said is not due again."""
        self.run(Batch([], [], [], clock_us))
        assert all(due >= clock_us for due in self.due.values())

    def _keep(self, source: str, state: SourceState | None, due: int | None) -> None:
        self.states.pop(source, None)
        self.due.pop(source, None)
        if state is not None:
            self.states[source] = encode(state, self.bundle.id)
            if due is not None:
                self.due[source] = due

    def summary(self) -> dict[str, Any]:
        """What must not depend on cuts: states, alerts' revisions, closed sources, scores and counts."""
        return {
            "states": dict(sorted(self.states.items())),
            "revisions": sorted((r.alert_id, r.revision, r.payload) for r in self.revisions),
            "closed": sorted(msgspec.json.encode(c) for c in self.closed),
            "events": sorted(msgspec.json.encode(e) for e in self.events),
            "late": self.late,
        }


class Arrival(msgspec.Struct):
    """Lines in the order of arrival, with the clocks that a shard keeps beside them."""

    lines: list[Line]
    tokens: list[int]
    clocks: list[int]  # of its origin, before each line
    closing: list[int]  # the shard's, after each line
    falls: list[tuple[int, int]]


def arrived(events: list[Event], origins: int) -> Arrival:
    """Events as they come; each source is of one origin, and each origin has a clock of its own.

    As `decode` gives it, a continuation has no time of its own and moves no clock.
    """
    found, clocks = Arrival([], [], [], [], []), Clocks({})
    now = dict.fromkeys(range(origins), 1_700_000_000 * SECOND)
    for offset, (source, token, wait, continuation) in enumerate(events):
        number = source % origins
        now[number] += 0 if continuation else (wait or 0) * SECOND
        time_us = None if wait is None else now[number]
        text, origin = f"line {offset} token {token}".encode(), f"{number}.log"
        found.lines.append(Line(origin, offset, -1, f"s{source}", time_us, "INFO", text, text, continuation))
        found.tokens.append(token)
        clock = clocks.of(origin)
        found.clocks.append(clock)
        if time_us is not None and not continuation:
            clock = time_us if time_us < clock - FALL else max(clock, time_us)
        if (fallen_us := clocks.follow(origin, clock)) is not None:
            found.falls.append((offset, fallen_us))
        found.closing.append(clocks.closing_us())
    return found


def batches(events: list[Event], sizes: Iterator[int], origins: int = 1) -> Iterator[Batch]:
    """The events cut into batches of the given sizes."""
    all_ = arrived(events, origins)
    start = 0
    while start < len(events):
        ends = min(start + next(sizes), len(events))
        taken = slice(start, ends)
        yield Batch(
            all_.lines[taken],
            all_.tokens[taken],
            all_.clocks[taken],
            all_.closing[ends - 1] or None,
            falls=[(at - start, fallen_us) for at, fallen_us in all_.falls if start <= at < ends],
        )
        start = ends


def cycle(cuts: list[int]) -> Iterator[int]:
    """The sizes over and over."""
    while True:
        yield from cuts


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
    whole, cut = Shard(bundle, rules), Shard(bundle, rules)
    for batch in batches(events, cycle([len(events)]), origins):
        whole.run(batch)
    for batch in batches(events, cycle(cuts), origins):
        cut.run(batch)
        cut.settle(batch.clock_us or 0)
    whole.settle(batch.clock_us or 0)
    assert cut.summary() == whole.summary()
    timed = [alert for alert in decoded(whole.revisions) if alert.opened_at is not None]
    said = [(alert.alert_id, alert.revision) for alert in timed]
    assert len(said) == len(set(said))
    ended = [alert for alert in timed if alert.resolved_at is not None]
    assert all(instant(alert.resolved_at) >= instant(alert.opened_at) for alert in ended)
    assert all(event.alert_id for event in whole.events if event.warm and event.score >= event.threshold)


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


def test_many_quiet_events_resolve_an_alert_wherever_batches_end(
    bundles: dict[bool, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were enough by the last line before a pause; after it they still are, with that line's time."""
    monkeypatch.setattr(judge, "QUIET_EVENTS", 15)
    bundle = bundles[False]
    events = [(0, 0, 0, False), *steady(15, lambda i: i % 4 + 2), (0, 3, 900, False)]
    rules = policy(bundle, threshold=1e9)
    whole, cut = run_whole(bundle, rules, events), Shard(bundle, rules)
    for batch in batches(events, cycle([16])):
        cut.run(batch)
        cut.settle(batch.clock_us or 0)
    whole.settle(batch.clock_us or 0)
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


def instant(text: str | None) -> datetime:
    """A time of an alert."""
    assert text is not None
    return datetime.fromisoformat(text)


def steady(count: int, token: Callable[[int], int], wait: int = 1) -> list[Event]:
    """A source that says the same things in turn."""
    return [(0, token(i), wait, False) for i in range(count)]


def decoded(revisions: list[Revision]) -> list[Alert]:
    """The alerts as a receiver reads them."""
    return [msgspec.json.decode(revision.payload, type=Alert) for revision in revisions]


def run_whole(bundle: Bundle, rules: Policy, events: list[Event]) -> Shard:
    """Everything in one batch."""
    shard = Shard(bundle, rules)
    for batch in batches(events, cycle([len(events)])):
        shard.run(batch)
    return shard


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


def same_text(batch: Batch) -> Batch:
    """The batch with lines that all say the same."""
    lines = [msgspec.structs.replace(line, message=b"fault", text=b"fault") for line in batch.lines]
    return Batch(lines, batch.tokens, batch.clocks, batch.clock_us, falls=batch.falls)


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
