"""The outbox: who waits for which revision, in which order, within which bounds; whatever keeps it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.store.alerts import read_alerts
from detector.store.deliveries import Deliveries, open_deliveries
from detector.store.outbox import Enrolment, append, create_tables, enrol
from detector.store.redis.keys import key
from tests.delivery import revision
from tests.outboxes import KINDS, Outbox, RedisOutbox, SqliteOutbox
from tests.stores import PREFIX, SHARD, shared_redis


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outbox]:
    """An outbox of each kind without a receiver."""
    with closing(request.param(tmp_path)) as outbox:
        yield outbox


@pytest.fixture
def outbox(empty: Outbox) -> Outbox:
    """An outbox with one receiver."""
    empty.enrol(Enrolment("ops", "there"))
    return empty


def _due(outbox: Outbox, now_s: float = 0.0, receiver: str = "ops") -> list[str]:
    due = outbox.deliveries.due(receiver, now_s=now_s, limit=100)
    return [f"{delivery.alert_id}.{delivery.revision}" for delivery in due]


def test_a_rolled_back_batch_leaves_nothing(tmp_path: Path) -> None:
    """Revisions belong to the transaction of the batch that caused them."""
    connection = sqlite3.connect(tmp_path / "state.db")
    create_tables(connection)
    enrol(connection, [Enrolment("ops", "there")])
    connection.commit()
    append(connection, [revision("a", 1)])
    connection.rollback()
    assert list(Deliveries(connection).due("ops", now_s=0.0, limit=100)) == []
    assert read_alerts(tmp_path / "state.db") == []
    connection.close()


def test_a_later_revision_waits_for_the_earlier_one(outbox: Outbox) -> None:
    """Per alert one revision at a time, the lowest first; alerts do not wait for each other."""
    outbox.append(revision("a", 1), revision("a", 2), revision("b", 1))
    assert _due(outbox) == ["a.1", "b.1"]
    outbox.deliveries.delivered("ops", outbox.seq(1))
    assert sorted(_due(outbox)) == ["a.2", "b.1"]


def test_what_is_due_at_once_goes_in_the_order_of_the_outbox(outbox: Outbox) -> None:
    """Also beyond nine: a file that takes one at a time has them as they came."""
    names = [f"alert-{number}" for number in range(25)]
    outbox.append(*(revision(name, 1) for name in names))
    assert _due(outbox) == [f"{name}.1" for name in names]
    first = outbox.deliveries.due("ops", now_s=0.0, limit=3)
    assert [delivery.payload for delivery in first] == [revision(name, 1).payload for name in names[:3]]


def test_a_failed_revision_gives_way_to_a_newer_one_of_its_status(outbox: Outbox) -> None:
    """A server that was down needs the newest state, but must hear of the firing before the end."""
    outbox.append(revision("a", 1), revision("a", 2), revision("a", 3, "resolved"))
    deliveries = outbox.deliveries
    deliveries.supersede("ops")
    assert _due(outbox) == ["a.1"]
    deliveries.retry("ops", outbox.seq(1), due_s=1e9, error="down")
    deliveries.supersede("ops")
    assert _due(outbox) == ["a.2"]
    deliveries.retry("ops", outbox.seq(2), due_s=1e9, error="down")
    deliveries.supersede("ops")
    assert _due(outbox) == []
    assert deliveries.next_due_s("ops") == 1e9


def test_a_revision_that_comes_after_a_failure_takes_its_place(outbox: Outbox) -> None:
    """The failure may be older than the newer revision."""
    outbox.append(revision("a", 1))
    outbox.deliveries.retry("ops", outbox.seq(1), due_s=1e9, error="down")
    outbox.append(revision("a", 2))
    outbox.deliveries.supersede("ops")
    assert _due(outbox) == ["a.2"]
    assert outbox.deliveries.counts() == {("ops", "superseded"): 1, ("ops", "pending"): 1}


def test_over_the_bound_the_oldest_are_dead(empty: Outbox) -> None:
    """A receiver that takes nothing costs a bounded amount; the newest alerts still wait for it."""
    empty.enrol(Enrolment("ops", "there", max_pending=3), Enrolment("file", "here"))
    empty.append(*(revision(name, 1) for name in "abcde"))
    assert _due(empty) == ["c.1", "d.1", "e.1"]
    assert len(_due(empty, receiver="file")) == 5
    assert empty.deliveries.counts()["ops", "dead"] == 2


def test_dead_deliveries_can_be_sent_again_unless_overtaken(outbox: Outbox) -> None:
    """A lower revision is never sent after a higher one, not even by hand."""
    outbox.append(revision("a", 1), revision("a", 2), revision("b", 1))
    deliveries = outbox.deliveries
    deliveries.dead("ops", outbox.seq(1), "down")
    deliveries.delivered("ops", outbox.seq(2))
    deliveries.dead("ops", outbox.seq(3), "down")
    assert deliveries.resend("ops") == 1
    assert _due(outbox) == ["b.1"]


def test_what_was_told_of_an_alert_is_known_from_its_earlier_revisions(outbox: Outbox) -> None:
    """An attempt may have arrived; one that was left out has not, and of none nothing is known."""
    outbox.append(revision("a", 1), revision("a", 2), revision("a", 3), revision("b", 2))
    deliveries = outbox.deliveries
    assert deliveries.was_told("ops", outbox.seq(1)) is None
    assert deliveries.was_told("ops", outbox.seq(4)) is None
    deliveries.skip("ops", outbox.seq(1), "too old")
    assert deliveries.was_told("ops", outbox.seq(2)) is False
    deliveries.retry("ops", outbox.seq(2), due_s=0.0, error="down")
    assert deliveries.was_told("ops", outbox.seq(2)) is False
    assert deliveries.was_told("ops", outbox.seq(3)) is True


def test_nobody_gives_up_what_another_process_has_delivered(outbox: Outbox) -> None:
    """One that lost the shard meanwhile hears late that its own request failed; a late success is one."""
    outbox.append(revision("a", 1), revision("b", 1))
    deliveries = outbox.deliveries
    deliveries.delivered("ops", outbox.seq(1))
    deliveries.dead("ops", outbox.seq(1), "no answer")
    deliveries.skip("ops", outbox.seq(1), "too old")
    deliveries.dead("ops", outbox.seq(2), "no answer")
    assert deliveries.counts() == {("ops", "delivered"): 1, ("ops", "dead"): 1}
    deliveries.delivered("ops", outbox.seq(2))
    assert deliveries.counts() == {("ops", "delivered"): 2}


def test_a_payload_never_changes(outbox: Outbox) -> None:
    """The same revision committed once more keeps its first payload and is not sent again."""
    outbox.append(revision("a", 1))
    outbox.deliveries.delivered("ops", outbox.seq(1))
    outbox.append(revision("a", 1, "resolved"))
    assert _due(outbox) == []
    assert outbox.kept() == [revision("a", 1).payload]


def test_a_receiver_gets_what_comes_after_its_enrolment(empty: Outbox) -> None:
    """A new receiver is not flooded with the past; one that left keeps what waited for it."""
    empty.enrol(Enrolment("old", "there"))
    empty.append(revision("a", 1))
    empty.enrol(Enrolment("new", "there"))
    empty.append(revision("b", 1))
    assert _due(empty, receiver="old") == ["a.1"]
    assert _due(empty, receiver="new") == ["b.1"]


def test_a_disabled_receiver_gets_nothing_until_its_target_changes(outbox: Outbox) -> None:
    """A restart alone does not enable it; what came meanwhile is dead and counted."""
    outbox.append(revision("a", 1))
    deliveries = outbox.deliveries
    deliveries.disable("ops", "answered 410")
    outbox.enrol(Enrolment("ops", "there"))
    outbox.append(revision("b", 1))
    assert _due(outbox) == []
    assert deliveries.next_due_s("ops") is None
    assert deliveries.counts() == {("ops", "dead"): 2}
    outbox.enrol(Enrolment("ops", "elsewhere"))
    outbox.append(revision("c", 1))
    assert _due(outbox) == ["c.1"]


def test_a_paused_receiver_waits(outbox: Outbox) -> None:
    """A pause holds every delivery of the receiver, and says when to look again."""
    outbox.append(revision("a", 1))
    outbox.deliveries.pause("ops", until_s=60.0)
    outbox.deliveries.pause("ops", until_s=30.0)
    assert _due(outbox, now_s=59) == []
    assert outbox.deliveries.next_due_s("ops") == 60
    assert _due(outbox, now_s=60) == ["a.1"]


def test_old_revisions_are_forgotten_unless_somebody_waits(empty: Outbox) -> None:
    """The store does not grow for ever; what is pending stays, however old, until it is not."""
    empty.enrol(Enrolment("ops", "there"), Enrolment("file", "here"))
    payloads = {name: revision(name, 1).payload for name in "abcde"}
    empty.append(revision("a", 1), revision("b", 1), revision("c", 1))
    deliveries = empty.deliveries
    for place in (1, 2, 3):
        deliveries.delivered("file", empty.seq(place))
    deliveries.delivered("ops", empty.seq(2))
    empty.append(revision("d", 1), kept=1)
    assert empty.kept() == [payloads["a"], payloads["c"], payloads["d"]]
    assert empty.alerts()[-1] == payloads["d"]
    assert payloads["b"] not in empty.alerts()
    assert deliveries.counts() == {("ops", "pending"): 3, ("file", "pending"): 1}
    for place in (1, 3):
        deliveries.delivered("ops", empty.seq(place))
    empty.append(revision("e", 1), kept=1)
    assert empty.kept() == [payloads["d"], payloads["e"]]
    assert empty.alerts()[-1] == payloads["e"]
    assert payloads["c"] not in empty.alerts()


def test_an_alert_is_read_back_as_it_stands(empty: Outbox) -> None:
    """One entry per alert, in the order of opening, with its highest revision; or those that begin so."""
    empty.append(revision("b1", 1), revision("a", 1), revision("b1", 3), revision("b1", 2), revision("b2", 1))
    last = [revision("b1", 3).payload, revision("a", 1).payload, revision("b2", 1).payload]
    assert empty.alerts() == last
    assert empty.alerts("b") == [last[0], last[2]]
    assert empty.alerts("b1") == last[:1]
    assert empty.alerts("z") == []


def test_the_deliverers_connection_works_beside_the_stores(tmp_path: Path) -> None:
    """Outcomes are noted while the store holds its own connection open."""
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        create_tables(connection)
        enrol(connection, [Enrolment("ops", "there")])
        append(connection, [revision("a", 1)])
    with open_deliveries(path) as deliveries:
        deliveries.delivered("ops", 1)
    assert Deliveries(connection).counts() == {("ops", "delivered"): 1}
    connection.close()


ALERT = st.sampled_from("ab")
STEP = st.one_of(
    st.tuples(st.just("append"), ALERT),
    st.tuples(st.sampled_from(["delivered", "retry", "dead", "resend"]), st.just("")),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=40))
def test_no_revision_is_ever_sent_after_a_higher_one(
    kind: type[SqliteOutbox | RedisOutbox],
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, str]],
) -> None:
    """Whatever happens to deliveries, per alert the revisions go out in rising order."""
    with closing(kind(tmp_path_factory.mktemp("outbox"))) as outbox:
        outbox.enrol(Enrolment("ops", "there", max_pending=3))
        _send(outbox, steps)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=40))
def test_both_kinds_do_the_same_with_every_delivery(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    """Redis looks only where something has failed, and finds all the same what a newer revision overtakes."""
    counts = []
    for kind in KINDS:
        with closing(kind(tmp_path_factory.mktemp("outbox"))) as outbox:
            outbox.enrol(Enrolment("ops", "there", max_pending=5))
            _send(outbox, [*steps, ("retry", "")])
            outbox.deliveries.supersede("ops")
            counts.append(outbox.deliveries.counts())
    assert counts[0] == counts[1]


def test_redis_does_not_look_at_what_merely_waits(tmp_path: Path) -> None:
    """Thousands of alerts wait when a receiver was away, and Redis serves nobody else while it looks."""
    with closing(RedisOutbox(tmp_path)) as outbox:
        outbox.enrol(Enrolment("ops", "there"))
        outbox.append(revision("a", 1), revision("a", 2), revision("b", 1))
        overtaken = key(PREFIX, SHARD, "overtaken", "ops")
        assert shared_redis()("SMEMBERS", overtaken) == []
        outbox.deliveries.retry("ops", outbox.seq(1), due_s=9.0, error="down")
        assert shared_redis()("SMEMBERS", overtaken) == [b"a"]
        outbox.deliveries.supersede("ops")
        assert shared_redis()("SMEMBERS", overtaken) == []


def _send(outbox: Outbox, steps: list[tuple[str, str]]) -> None:
    deliveries = outbox.deliveries
    newest = dict.fromkeys("ab", 0)
    sent = dict.fromkeys("ab", 0)
    for step, alert in steps:
        if step == "append":
            newest[alert] += 1
            outbox.append(revision(alert, newest[alert]))
        elif step == "resend":
            deliveries.resend("ops")
        else:
            deliveries.supersede("ops")
            for delivery in deliveries.due("ops", now_s=0.0, limit=1):
                # The same one again is a retry; what failed may have arrived all the same.
                assert delivery.revision >= sent[delivery.alert_id]
                sent[delivery.alert_id] = delivery.revision
                match step:
                    case "delivered":
                        deliveries.delivered("ops", delivery.seq)
                    case "retry":
                        deliveries.retry("ops", delivery.seq, due_s=0.0, error="down")
                    case "dead":
                        deliveries.dead("ops", delivery.seq, "down")
