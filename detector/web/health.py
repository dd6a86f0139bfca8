"""Whether a daemon lives and is ready. Told by its loop, asked from another thread. No I/O but the clock.

It lives while its loop goes round and the work goes on where there is some; whether a server that it
needs can be reached is a matter of being ready: a restart would not bring that server back.
"""

from collections.abc import Callable, Iterable
from threading import Lock

import msgspec

NOT_YET = "not yet"


class _Mark(msgspec.Struct, frozen=True):
    """How far a piece of work had come, and since when it has not moved."""

    done: object
    since_s: float


class Health:
    """What the loop last said; every method may be called from any thread."""

    def __init__(self, conditions: Iterable[str], *, stall_s: float, clock: Callable[[], float]) -> None:
        """Live, and not ready until every condition is met; the clock only goes forward."""
        self._lock = Lock()
        self._stall_s, self._clock = stall_s, clock
        self._ticked_s = clock()
        self._behind: dict[str, _Mark] = {}
        self._missing = dict.fromkeys(conditions, NOT_YET)

    def tick(self) -> None:
        """Say that the loop has gone round once more."""
        with self._lock:
            self._ticked_s = self._clock()

    def progress(self, what: str, done: object, *, behind: bool) -> None:
        """Say how far a piece of work has come, and whether more of it waits.

        Where it cannot go on for the lack of a server, nothing waits that a restart would get.
        """
        with self._lock:
            before = self._behind.get(what)
            if not behind:
                self._behind.pop(what, None)
            elif before is None or before.done != done:
                self._behind[what] = _Mark(done, self._clock())

    def forget(self, what: str) -> None:
        """A piece of work is somebody else's."""
        with self._lock:
            self._behind.pop(what, None)

    def ready(self, condition: str, met: bool, why: str = NOT_YET) -> None:
        """Say whether a condition of being ready is met, and if not, in a few words why."""
        with self._lock:
            self._missing.pop(condition, None)
            if not met:
                self._missing[condition] = why

    def stuck(self) -> str:
        """What has not gone on for too long; empty while the daemon lives."""
        with self._lock:
            now_s = self._clock()
            if now_s - self._ticked_s > self._stall_s:
                return f"the loop has not gone round for {now_s - self._ticked_s:.0f} s"
            for what, mark in self._behind.items():
                if now_s - mark.since_s > self._stall_s:
                    return f"{what}: more waits, and nothing was done for {now_s - mark.since_s:.0f} s"
        return ""

    def missing(self) -> dict[str, str]:
        """The conditions that are not met, each with the reason."""
        with self._lock:
            return dict(self._missing)
