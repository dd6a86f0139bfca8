"""What delivery needs from the outbox, whichever store keeps it. Types only."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from detector.notify.answer import Answer


class Notification(Protocol):
    """One revision of an alert that waits for one receiver."""

    @property
    def seq(self) -> int:
        """Its place in the outbox."""

    @property
    def alert_id(self) -> str:
        """The alert."""

    @property
    def revision(self) -> int:
        """The alert's revision."""

    @property
    def payload(self) -> bytes:
        """The encoded alert, the same at every attempt."""

    @property
    def attempts(self) -> int:
        """How often it was tried so far."""


Send = Callable[[Notification], Awaitable[Answer]]


Told = Callable[[str, str], None]  # of a receiver, and what became of an attempt


def nobody(_receiver: str, _outcome: str) -> None:
    """Nobody wants to know."""


class Queue(Protocol):
    """What waits for each receiver; every call is durable when it returns."""

    def due(self, receiver: str, *, now_s: float, limit: int) -> Sequence[Notification]:
        """Take what may be sent now, one revision per alert."""

    def supersede(self, receiver: str) -> None:
        """Let newer revisions of the same status take the place of those that have failed."""

    def next_due_s(self, receiver: str) -> float | None:
        """Say when something is due next; None where nothing waits."""

    def delivered(self, receiver: str, seq: int) -> None:
        """Note that the receiver took it."""

    def dead(self, receiver: str, seq: int, error: str) -> None:
        """Give up on it after an attempt."""

    def skip(self, receiver: str, seq: int, error: str) -> None:
        """Give up on it without one."""

    def was_told(self, receiver: str, seq: int) -> bool | None:
        """Whether an earlier revision of the alert was tried; None where nothing is known of any."""

    def retry(self, receiver: str, seq: int, *, due_s: float, error: str) -> None:
        """Try it again later."""

    def pause(self, receiver: str, *, until_s: float) -> None:
        """Send nothing to this receiver before then."""

    def disable(self, receiver: str, reason: str) -> None:
        """Stop sending to this receiver."""
