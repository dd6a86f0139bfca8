"""The clocks of a shard's origins, and the one by which endings and silences are said. Pure.

What a line means for its own source depends on its own origin's clock alone. What is said of sources that
have no line is said by the closing clock: the oldest of the origins that may go on from there. So no file is
overtaken by one that is ahead of it, and how much is read at a time changes nothing.

The limit: an origin that brings nothing while the newest clock goes on by SILENT_US holds the others back no
more, and where another is caught up with a minute goes by in a moment. If it then goes on from where it
stopped, lives of its sources may have been ended: that depends on when it was looked at, as with a tick. In a
replay, which has no looks, it depends on the lines alone.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

SILENT_US = 60_000_000  # a writer that collects its lines brings them more often
NONE: frozenset[str] = frozenset()


class Clocks:
    """Where the clock of every origin stands, and where the newest stood when the origin last had a line."""

    def __init__(self, now_us: Mapping[str, int]) -> None:
        """Begin with origins that were all heard just now."""
        self._now_us = {origin: at for origin, at in now_us.items() if at}
        self.newest_us = max(self._now_us.values(), default=0)
        self._heard_us = dict.fromkeys(self._now_us, self.newest_us)

    def of(self, origin: str) -> int:
        """The clock of an origin, 0 before its first time."""
        return self._now_us.get(origin, 0)

    def follow(self, origin: str, after_us: int, held: AbstractSet[str] = NONE) -> int | None:
        """Move an origin's clock for one of its lines; the closing clock before it where that falls by it."""
        if not after_us:
            return None
        newest_us = self.newest_us
        falls = after_us < self.of(origin)
        if not falls and (after_us >= newest_us or self._holds(origin, newest_us, held)):
            self._now_us[origin] = after_us
            self.newest_us = self._heard_us[origin] = max(newest_us, after_us)
            return None
        before_us = self.closing_us(held)
        self._now_us[origin] = after_us
        self.newest_us = max(self._now_us.values())
        self._heard_us[origin] = self.newest_us
        return before_us if self.closing_us(held) < before_us else None

    def hear(self, origins: Iterable[str]) -> None:
        """These have brought lines up to now, wherever among the others' they were."""
        for origin in origins:
            if origin in self._now_us:
                self._heard_us[origin] = self.newest_us

    def closing_us(self, held: AbstractSet[str] = NONE, passed_us: int = 0) -> int:
        """The oldest clock of the origins that may go on from there; `held` will, however long ago it is.

        `passed_us` is the time since the end of the log: every clock goes on by it.
        """
        newest_us = self.newest_us + passed_us
        clocks = (
            at + passed_us for origin, at in self._now_us.items() if self._holds(origin, newest_us, held)
        )
        return min(clocks, default=newest_us)

    def forget(self, origin: str) -> None:
        """An origin is over."""
        self._now_us.pop(origin, None)
        self._heard_us.pop(origin, None)
        self.newest_us = max(self._now_us.values(), default=0)

    def _holds(self, origin: str, newest_us: int, held: AbstractSet[str]) -> bool:
        heard_us = self._heard_us.get(origin)
        return heard_us is not None and (origin in held or newest_us - heard_us <= SILENT_US)
