"""The outbox: who waits for which revision, in which order, within which bounds."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.store.alerts import read_alert, read_alerts
from detector.store.deliveries import Deliveries, open_deliveries
from detector.store.outbox import Enrolment, append, create_tables, enrol
from tests.delivery import revision


@pytest.fixture
def connection() -> sqlite3.Connection:
    """An outbox with one receiver."""
    return _outbox(Enrolment("ops", "there"))


def _outbox(*receivers: Enrolment) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_tables(connection)
    enrol(connection, receivers)
    return connection


def _due(connection: sqlite3.Connection, now_s: float = 0.0, receiver: str = "ops") -> list[str]:
    due = Deliveries(connection).due(receiver, now_s=now_s, limit=100)
    return [f"{delivery.alert_id}.{delivery.revision}" for delivery in due]


def test_a_rolled_back_batch_leaves_nothing(tmp_path: Path) -> None:
    """Revisions belong to the transaction of the batch that caused them."""
    connection = sqlite3.connect(tmp_path / "state.db")
    create_tables(connection)
    enrol(connection, [Enrolment("ops", "there")])
    connection.commit()
    append(connection, [revision("a", 1)])
    connection.rollback()
    assert _due(connection) == []
    assert read_alerts(tmp_path / "state.db") == []
    connection.close()


def test_a_later_revision_waits_for_the_earlier_one(connection: sqlite3.Connection) -> None:
    """Per alert one revision at a time, the lowest first; alerts do not wait for each other."""
    append(connection, [revision("a", 1), revision("a", 2), revision("b", 1)])
    assert _due(connection) == ["a.1", "b.1"]
    Deliveries(connection).delivered("ops", 1)
    assert _due(connection) == ["b.1", "a.2"] or _due(connection) == ["a.2", "b.1"]


def test_a_failed_revision_gives_way_to_a_newer_one_of_its_status(connection: sqlite3.Connection) -> None:
    """A server that was down needs the newest state, but must hear of the firing before the end."""
    append(connection, [revision("a", 1), revision("a", 2), revision("a", 3, "resolved")])
    deliveries = Deliveries(connection)
    deliveries.supersede("ops")
    assert _due(connection) == ["a.1"]
    deliveries.retry("ops", 1, due_s=1e9, error="down")
    deliveries.supersede("ops")
    assert _due(connection) == ["a.2"]
    deliveries.retry("ops", 2, due_s=1e9, error="down")
    deliveries.supersede("ops")
    assert _due(connection) == []
    assert deliveries.next_due_s("ops") == 1e9


def test_over_the_bound_the_oldest_are_dead() -> None:
    """A receiver that takes nothing costs a bounded amount; the newest alerts still wait for it."""
    connection = _outbox(Enrolment("ops", "there", max_pending=3), Enrolment("file", "here"))
    append(connection, [revision(name, 1) for name in "abcde"])
    assert _due(connection) == ["c.1", "d.1", "e.1"]
    assert len(_due(connection, receiver="file")) == 5
    assert Deliveries(connection).counts()["ops", "dead"] == 2


def test_dead_deliveries_can_be_sent_again_unless_overtaken(connection: sqlite3.Connection) -> None:
    """A lower revision is never sent after a higher one, not even by hand."""
    append(connection, [revision("a", 1), revision("a", 2), revision("b", 1)])
    deliveries = Deliveries(connection)
    deliveries.dead("ops", 1, "down")
    deliveries.delivered("ops", 2)
    deliveries.dead("ops", 3, "down")
    assert deliveries.resend("ops") == 1
    assert _due(connection) == ["b.1"]


def test_a_payload_never_changes(connection: sqlite3.Connection) -> None:
    """The same revision committed once more keeps its first payload and is not sent again."""
    append(connection, [revision("a", 1)])
    Deliveries(connection).delivered("ops", 1)
    append(connection, [revision("a", 1, "resolved")])
    assert _due(connection) == []
    stored = connection.execute("SELECT payload FROM outbox").fetchall()
    assert stored == [(revision("a", 1).payload,)]


def test_a_receiver_gets_what_comes_after_its_enrolment() -> None:
    """A new receiver is not flooded with the past; one that left keeps what waited for it."""
    connection = _outbox(Enrolment("old", "there"))
    append(connection, [revision("a", 1)])
    enrol(connection, [Enrolment("new", "there")])
    append(connection, [revision("b", 1)])
    assert _due(connection, receiver="old") == ["a.1"]
    assert _due(connection, receiver="new") == ["b.1"]


def test_a_disabled_receiver_gets_nothing_until_its_target_changes(connection: sqlite3.Connection) -> None:
    """A restart alone does not enable it; what came meanwhile is dead and counted."""
    append(connection, [revision("a", 1)])
    deliveries = Deliveries(connection)
    deliveries.disable("ops", "answered 410")
    enrol(connection, [Enrolment("ops", "there")])
    append(connection, [revision("b", 1)])
    assert _due(connection) == []
    assert deliveries.next_due_s("ops") is None
    assert deliveries.counts() == {("ops", "dead"): 2}
    enrol(connection, [Enrolment("ops", "elsewhere")])
    append(connection, [revision("c", 1)])
    assert _due(connection) == ["c.1"]


def test_a_paused_receiver_waits(connection: sqlite3.Connection) -> None:
    """A pause holds every delivery of the receiver, and says when to look again."""
    append(connection, [revision("a", 1)])
    deliveries = Deliveries(connection)
    deliveries.pause("ops", until_s=60.0)
    deliveries.pause("ops", until_s=30.0)
    assert _due(connection, now_s=59) == []
    assert deliveries.next_due_s("ops") == 60
    assert _due(connection, now_s=60) == ["a.1"]


def test_old_revisions_are_forgotten_unless_somebody_waits() -> None:
    """The file does not grow for ever; what is pending stays, however old."""
    connection = _outbox(Enrolment("ops", "there"), Enrolment("file", "here"))
    append(connection, [revision("a", 1), revision("b", 1), revision("c", 1)])
    deliveries = Deliveries(connection)
    for seq in (1, 2, 3):
        deliveries.delivered("file", seq)
    deliveries.delivered("ops", 2)
    append(connection, [revision("d", 1)], kept=1)
    left = connection.execute("SELECT alert_id FROM outbox ORDER BY seq").fetchall()
    assert left == [("a",), ("c",), ("d",)]
    assert connection.execute("SELECT alert_id FROM alert").fetchall() == [("d",)]
    assert deliveries.counts() == {("ops", "pending"): 3, ("file", "pending"): 1}


def test_an_alert_is_read_back_as_it_stands(tmp_path: Path) -> None:
    """One entry per alert, in the order of opening, with its highest revision."""
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    with connection:
        create_tables(connection)
        append(connection, [revision("b", 1), revision("a", 1), revision("b", 3), revision("b", 2)])
    assert read_alerts(path) == [revision("b", 3).payload, revision("a", 1).payload]
    assert read_alert(path, "b") == revision("b", 3).payload
    assert read_alert(path, "z") is None
    connection.close()


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


@settings(deadline=None)
@given(st.lists(STEP, max_size=40))
def test_no_revision_is_ever_sent_after_a_higher_one(steps: list[tuple[str, str]]) -> None:
    """Whatever happens to deliveries, per alert the revisions go out in rising order."""
    connection = _outbox(Enrolment("ops", "there", max_pending=3))
    deliveries = Deliveries(connection)
    newest = dict.fromkeys("ab", 0)
    sent = dict.fromkeys("ab", 0)
    for step, alert in steps:
        if step == "append":
            newest[alert] += 1
            append(connection, [revision(alert, newest[alert])])
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
    connection.close()
