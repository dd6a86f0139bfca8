"""A state file with alerts in it, for tests of their delivery."""

import io
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec

from detector.notify.deliver import Deliverer
from detector.notify.lane import Habits
from detector.notify.receivers import Receiver, Schedule, WebhookReceiver, target
from detector.records import Alert, EvidenceLine, Expectation, Revision, TemplateEvidence
from detector.store.deliveries import open_deliveries
from detector.store.outbox import Enrolment, append, create_tables, enrol
from tests.receiver import SECRET, Script

SAMPLE = Alert(
    status="firing",
    alert_id="5f2b8c0d1e4a7b93",
    revision=1,
    source="nova-compute",
    rule="ended-early",
    severity="error",
    opened_at="2026-11-21T10:00:00.000000Z",
    resolved_at=None,
    position="1300",
    score=12.312,
    threshold=8.0,
    surprise_bits=14.22,
    template=TemplateEvidence("a1b2c3", "Terminating instance <*>", ["i-17"], first_seen=True),
    expected=[
        Expectation("d4e5f6", "Deleted instance files <*>", 0.621),
        Expectation("a7b8c9", "Instance destroyed", 0.3),
    ],
    lines=[
        EvidenceLine("1200", "Instance spawned", "before"),
        EvidenceLine("1300", "Terminating instance i-17", "event"),
        EvidenceLine("1400", "Claim successful", "after"),
    ],
    bundle="b-7d1f",
    replay="tailrace replay nova.log --bundle b",
)


class Clock:
    """A clock that a test sets; it starts at the real time, which signatures are checked against."""

    def __init__(self) -> None:
        """Start now."""
        self.now_s = time.time()

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


def revision(alert_id: str, number: int, status: str = "firing") -> Revision:
    """Make one revision of the sample alert."""
    alert = msgspec.structs.replace(
        SAMPLE,
        alert_id=alert_id,
        revision=number,
        status=status,
        resolved_at="2026-11-21T10:05:00.000000Z" if status == "resolved" else None,
    )
    return Revision(alert_id, number, msgspec.json.encode(alert))


def webhook(
    script: Script,
    *,
    name: str = "ops",
    secrets: tuple[str, ...] = (SECRET,),
    timeout_s: float = 5.0,
    ca_file: Path | None = None,
    allow_private: bool = True,
    delays_s: tuple[float, ...] = (0.0, 10.0, 20.0),
) -> WebhookReceiver:
    """Make a receiver for a scripted server."""
    return WebhookReceiver(
        name=name,
        url=script.url,
        secrets=secrets,
        ca_file=ca_file,
        timeout_s=timeout_s,
        allow_private=allow_private,
        schedule=Schedule(delays_s),
    )


class StateFile:
    """A state file with an outbox, and who delivers from it."""

    def __init__(self, path: Path, receivers: Sequence[Receiver]) -> None:
        """Create the file where it is not there."""
        self.path = path
        self.receivers = receivers
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA journal_mode = WAL")
            create_tables(connection)
            enrol(
                connection,
                [
                    Enrolment(receiver.name, target(receiver), receiver.max_pending, receiver.enable)
                    for receiver in receivers
                ],
            )

    def append(self, *revisions: Revision) -> None:
        """Commit revisions as the store does."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            append(connection, list(revisions))

    def deliverer(
        self, clock: Clock | None = None, stdout: io.StringIO | None = None, habits: Habits | None = None
    ) -> Deliverer:
        """Make the deliverer, without jitter."""
        return Deliverer(
            self.receivers,
            partial(open_deliveries, self.path),
            stdout=stdout or io.StringIO(),
            clock=clock or time.time,
            random=lambda: 0.0,
            habits=habits or Habits(),
        )

    def states(self, receiver: str = "ops") -> dict[str, int]:
        """Count the receiver's deliveries by state."""
        with open_deliveries(self.path) as deliveries:
            return {state: count for (name, state), count in deliveries.counts().items() if name == receiver}

    def errors(self) -> list[str]:
        """Give the last error of each delivery."""
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT error FROM delivery WHERE error IS NOT NULL ORDER BY seq")
            return [error for (error,) in rows]
