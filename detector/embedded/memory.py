"""States of sources in memory alone, for a replay. No I/O."""

import heapq
from collections.abc import Iterable

from detector.stages.judge.state import SourceState

MOST_STALE = 2  # entries of the queue for each source that is due; beyond that it is made anew


class MemoryStates:
    """Every live source of a replay, and when time alone changes something about it."""

    def __init__(self) -> None:
        """Start with no source."""
        self.states: dict[str, SourceState] = {}
        self._due_us: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []  # with entries that are out of date

    def load(self, sources: Iterable[str]) -> dict[str, SourceState]:
        """The states of those of the sources that live."""
        states = self.states
        return {source: states[source] for source in sources if source in states}

    def due(self, clock_us: int) -> set[str]:
        """Sources that this clock changes something about."""
        found: set[str] = set()
        while self._queue and self._queue[0][0] < clock_us:
            due_us, source = heapq.heappop(self._queue)
            if self._due_us.get(source) == due_us:
                del self._due_us[source]
                found.add(source)
        return found

    def keep(self, states: dict[str, SourceState | None], due_us: dict[str, int | None]) -> None:
        """Take the states that a batch left."""
        for source, state in states.items():
            if state is None:
                self.states.pop(source, None)
                self._due_us.pop(source, None)
                continue
            self.states[source] = state
            at = due_us.get(source)
            if at is None:
                self._due_us.pop(source, None)
            elif self._due_us.get(source) != at:
                self._due_us[source] = at
                heapq.heappush(self._queue, (at, source))
        if len(self._queue) > MOST_STALE * len(self._due_us) + MOST_STALE:
            self._queue = [(at, source) for source, at in self._due_us.items()]
            heapq.heapify(self._queue)
