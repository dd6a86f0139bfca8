"""The outbox in SQLite: every revision of an alert, and who still has to receive it.

All functions work on the caller's connection and within the caller's transaction, so that a revision
is in the outbox exactly when the batch that caused it is committed. A payload never changes.
"""

import sqlite3
from collections.abc import Iterable

import msgspec

from detector.records import Revision

KEPT_REVISIONS = 20_000  # newest revisions that stay readable once nobody waits for them
MAX_PENDING = 10_000  # deliveries that may wait for one receiver

_TABLES = (
    """CREATE TABLE IF NOT EXISTS outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        alert_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (alert_id, revision)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS alert (
        alert_id TEXT PRIMARY KEY,
        revision INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        payload BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS receiver (
        name TEXT PRIMARY KEY,
        target TEXT NOT NULL,
        max_pending INTEGER NOT NULL,
        enrolled INTEGER NOT NULL,
        disabled TEXT,
        paused_until_s REAL NOT NULL DEFAULT 0
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS delivery (
        seq INTEGER NOT NULL,
        receiver TEXT NOT NULL,
        alert_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        status TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead', 'superseded')),
        attempts INTEGER NOT NULL DEFAULT 0,
        due_s REAL NOT NULL DEFAULT 0,
        error TEXT,
        PRIMARY KEY (seq, receiver)
    ) STRICT, WITHOUT ROWID""",
    # With the state in it the index alone answers how many wait.
    """CREATE INDEX IF NOT EXISTS delivery_due ON delivery (receiver, due_s, seq, state)
        WHERE state = 'pending'""",
    "CREATE INDEX IF NOT EXISTS delivery_of_alert ON delivery (receiver, alert_id, revision)",
    "CREATE INDEX IF NOT EXISTS alert_last ON alert (last_seq)",
)


class Enrolment(msgspec.Struct, frozen=True):
    """A receiver that gets every revision from now on; a change of target ends a disabling."""

    name: str
    target: str  # a digest of where it delivers to; never the address, which may hold a secret
    max_pending: int = MAX_PENDING
    enable: bool = False  # ends a disabling although the target is the same


class _Status(msgspec.Struct):
    status: str


def status_of(payload: bytes) -> str:
    """Whether an encoded alert is firing or resolved."""
    return msgspec.json.decode(payload, type=_Status).status


def create_tables(connection: sqlite3.Connection) -> None:
    """Create what is missing."""
    for statement in _TABLES:
        connection.execute(statement)


def enrol(connection: sqlite3.Connection, receivers: Iterable[Enrolment]) -> None:
    """Make these the receivers; one that is not named keeps what waits for it and gets nothing new."""
    connection.execute("UPDATE receiver SET enrolled = 0")
    for receiver in receivers:
        connection.execute(
            """INSERT INTO receiver (name, target, max_pending, enrolled) VALUES (:name, :target, :max, 1)
            ON CONFLICT (name) DO UPDATE SET enrolled = 1, max_pending = :max, target = :target,
                disabled = CASE WHEN :enable OR target <> :target THEN NULL ELSE disabled END,
                paused_until_s = CASE WHEN :enable OR target <> :target THEN 0 ELSE paused_until_s END""",
            {
                "name": receiver.name,
                "target": receiver.target,
                "max": receiver.max_pending,
                "enable": receiver.enable,
            },
        )
    bound(connection)


def append(connection: sqlite3.Connection, revisions: list[Revision], *, kept: int = KEPT_REVISIONS) -> None:
    """Put revisions into the outbox, for every enrolled receiver; one that is there already stays."""
    if not revisions:
        return
    for revision in revisions:
        _append(connection, revision)
    bound(connection)
    _prune(connection, kept)


def _append(connection: sqlite3.Connection, revision: Revision) -> None:
    row = connection.execute(
        """INSERT INTO outbox (alert_id, revision, payload) VALUES (?, ?, ?)
        ON CONFLICT DO NOTHING RETURNING seq""",
        (revision.alert_id, revision.revision, revision.payload),
    ).fetchone()
    if row is None:
        return
    values = {
        "seq": row[0],
        "alert": revision.alert_id,
        "revision": revision.revision,
        "payload": revision.payload,
        "status": status_of(revision.payload),
    }
    connection.execute(
        """INSERT INTO alert VALUES (:alert, :revision, :seq, :seq, :payload)
        ON CONFLICT (alert_id) DO UPDATE SET revision = :revision, last_seq = :seq, payload = :payload
            WHERE :revision > revision""",
        values,
    )
    connection.execute(
        """INSERT INTO delivery (seq, receiver, alert_id, revision, status, state, error)
        SELECT :seq, name, :alert, :revision, :status, iif(disabled IS NULL, 'pending', 'dead'), disabled
        FROM receiver WHERE enrolled""",
        values,
    )


def bound(connection: sqlite3.Connection) -> None:
    """Mark the oldest deliveries of every receiver that is over its bound dead."""
    for name, max_pending in connection.execute("SELECT name, max_pending FROM receiver").fetchall():
        (waiting,) = connection.execute(
            "SELECT count(*) FROM delivery WHERE receiver = ? AND state = 'pending'", (name,)
        ).fetchone()
        if waiting <= max_pending:
            continue
        connection.execute(
            """UPDATE delivery SET state = 'dead', error = 'too many deliveries were waiting'
            WHERE receiver = :name AND state = 'pending' AND seq IN (
                SELECT seq FROM delivery WHERE receiver = :name AND state = 'pending'
                ORDER BY seq LIMIT :excess)""",
            {"name": name, "excess": waiting - max_pending},
        )


def _prune(connection: sqlite3.Connection, kept: int) -> None:
    """Forget revisions that are neither among the newest nor waited for."""
    (horizon,) = connection.execute("SELECT max(seq) - ? FROM outbox", (kept,)).fetchone()
    connection.execute("DELETE FROM delivery WHERE seq <= ? AND state <> 'pending'", (horizon,))
    connection.execute(
        """DELETE FROM outbox WHERE seq <= ?
        AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.seq = outbox.seq)""",
        (horizon,),
    )
    connection.execute("DELETE FROM alert WHERE last_seq <= ?", (horizon,))
