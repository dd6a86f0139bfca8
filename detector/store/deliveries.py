"""The deliverer's side of the outbox: what is due for a receiver, and what became of it.

Works on a connection of its own beside the shell's (WAL); every call is one short transaction.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from detector.store.faults import explained
from detector.store.outbox import bound

_BUSY_S = 30.0

# Per alert only the lowest waiting revision may go: a lower one is never sent after a higher one.
_DUE = """SELECT {columns} FROM delivery AS d JOIN outbox USING (seq)
    JOIN receiver AS r ON r.name = d.receiver AND r.disabled IS NULL
    WHERE d.receiver = :receiver AND d.state = 'pending' AND d.due_s <= :now_s AND r.paused_until_s <= :now_s
    AND NOT EXISTS (SELECT 1 FROM delivery AS lower WHERE lower.receiver = d.receiver
        AND lower.alert_id = d.alert_id AND lower.state = 'pending' AND lower.revision < d.revision)
    ORDER BY d.due_s, d.seq LIMIT :limit"""


class Delivery(msgspec.Struct, frozen=True):
    """One revision that waits for one receiver."""

    seq: int
    alert_id: str
    revision: int
    payload: bytes
    attempts: int  # made so far


class Deliveries:
    """What waits for each receiver, in the state file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection in autocommit mode that nobody else uses."""
        self._connection = connection

    def due(self, receiver: str, *, now_s: float, limit: int) -> list[Delivery]:
        """Take what may be sent now, one revision per alert, the longest due first."""
        columns = "d.seq, d.alert_id, d.revision, outbox.payload, d.attempts"
        values = {"receiver": receiver, "now_s": now_s, "limit": limit}
        return [Delivery(*row) for row in self._connection.execute(_DUE.format(columns=columns), values)]

    def supersede(self, receiver: str) -> None:
        """Let a newer revision of the same status take the place of one that has failed.

        A failed firing revision is not replaced by the resolved one: nobody would learn what was resolved.
        """
        self._connection.execute(
            """UPDATE delivery SET state = 'superseded'
            WHERE receiver = :receiver AND state = 'pending' AND attempts > 0 AND EXISTS (
                SELECT 1 FROM delivery AS newer WHERE newer.receiver = :receiver AND newer.state = 'pending'
                AND newer.alert_id = delivery.alert_id AND newer.status = delivery.status
                AND newer.revision > delivery.revision)""",
            {"receiver": receiver},
        )

    def next_due_s(self, receiver: str) -> float | None:
        """Say when something is due next; None where nothing waits."""
        values = {"receiver": receiver, "now_s": float("inf"), "limit": 1}
        sql = _DUE.format(columns="max(d.due_s, r.paused_until_s)")
        row = self._connection.execute(sql, values).fetchone()
        return None if row is None else float(row[0])

    def delivered(self, receiver: str, seq: int) -> None:
        """Note that the receiver took it."""
        self._finish(receiver, seq, "delivered", None)

    def dead(self, receiver: str, seq: int, error: str) -> None:
        """Give up on it after an attempt; `resend` can take it up again."""
        self._finish(receiver, seq, "dead", error)

    def skip(self, receiver: str, seq: int, error: str) -> None:
        """Give up on it without one; `resend` can take it up again."""
        self._finish(receiver, seq, "dead", error, attempts=0)

    def was_told(self, receiver: str, seq: int) -> bool | None:
        """Whether an earlier revision of the alert was tried; None where nothing is known of any."""
        row = self._connection.execute(
            """SELECT max(earlier.attempts > 0)
            FROM delivery AS earlier JOIN delivery AS one USING (receiver, alert_id)
            WHERE one.receiver = ? AND one.seq = ? AND earlier.revision < one.revision""",
            (receiver, seq),
        ).fetchone()
        return None if row[0] is None else bool(row[0])

    def retry(self, receiver: str, seq: int, *, due_s: float, error: str) -> None:
        """Try it again later; one that was given up meanwhile stays so."""
        self._connection.execute(
            """UPDATE delivery SET attempts = attempts + 1, due_s = ?, error = ?
            WHERE receiver = ? AND seq = ? AND state = 'pending'""",
            (due_s, error, receiver, seq),
        )

    def hurry(self, now_s: float) -> None:
        """Let what waits for its next attempt be due now, but for the pauses that receivers asked for.

        The attempt takes the place of the last one: starts that come often do not use up the schedule.
        """
        self._connection.execute(
            """UPDATE delivery SET due_s = ?, attempts = max(attempts - 1, 0)
            WHERE state = 'pending' AND due_s > ?""",
            (now_s, now_s),
        )

    def pause(self, receiver: str, *, until_s: float) -> None:
        """Send nothing to this receiver before then."""
        self._connection.execute(
            "UPDATE receiver SET paused_until_s = max(paused_until_s, ?) WHERE name = ?", (until_s, receiver)
        )

    def disable(self, receiver: str, reason: str) -> None:
        """Stop sending to this receiver until it is enrolled with another target or enabled."""
        with self._transaction() as connection:
            connection.execute("UPDATE receiver SET disabled = ? WHERE name = ?", (reason, receiver))
            connection.execute(
                "UPDATE delivery SET state = 'dead', error = ? WHERE receiver = ? AND state = 'pending'",
                (reason, receiver),
            )

    def resend(self, receiver: str) -> int:
        """Make dead deliveries wait again and count them, except those that a higher revision overtook."""
        with self._transaction() as connection:
            connection.execute(
                """UPDATE delivery SET state = 'superseded'
                WHERE receiver = :receiver AND state = 'dead' AND EXISTS (
                    SELECT 1 FROM delivery AS higher WHERE higher.receiver = :receiver
                    AND higher.alert_id = delivery.alert_id AND higher.revision > delivery.revision
                    AND (higher.state <> 'dead' OR higher.attempts > 0))""",
                {"receiver": receiver},
            )
            count = connection.execute(
                """UPDATE delivery SET state = 'pending', attempts = 0, due_s = 0
                WHERE receiver = ? AND state = 'dead'""",
                (receiver,),
            ).rowcount
            bound(connection)
        return count

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the deliveries that are kept, per receiver and state."""
        rows = self._connection.execute(
            "SELECT receiver, state, count(*) FROM delivery GROUP BY receiver, state"
        )
        return {(receiver, state): count for receiver, state, count in rows}

    def _finish(self, receiver: str, seq: int, state: str, error: str | None, attempts: int = 1) -> None:
        """Note what became of it; nobody gives up what was taken meanwhile."""
        self._connection.execute(
            """UPDATE delivery SET state = :state, attempts = attempts + :attempts, error = :error
            WHERE receiver = :receiver AND seq = :seq AND (state = 'pending' OR :state = 'delivered')""",
            {"state": state, "attempts": attempts, "error": error, "receiver": receiver, "seq": seq},
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            yield self._connection


@contextmanager
def open_deliveries(path: Path) -> Iterator[Deliveries]:
    """Open the state file's deliveries in the calling thread; the tables must be there.

    Raises:
        Unavailable: the disk is full or broken.
        BadSetup: the file is damaged.
    """
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    with explained(path), closing(connection):
        # An outcome that a power failure loses means one more delivery with the same id.
        connection.execute("PRAGMA synchronous = NORMAL")
        yield Deliveries(connection)
