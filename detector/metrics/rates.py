"""Whether serving is like training: the alerts to be expected, and the share of unknown lines. No I/O."""

from math import nan

from detector.metrics.committed import Committed
from detector.stages.judge.budget import PER_SESSIONS

DAY_US = 86_400_000_000
RECENT_EVENTS = 20_000


class Expected:
    """False alerts that a budget allows over what was read.

    A budget for long-lived sources is one of the whole stream and its days: each shard that is held here
    stands for an equal part of it.
    """

    def __init__(self, budget: float, *, session: bool) -> None:
        """A budget a day, or for sessions per 10,000 of them."""
        self.budget, self._session = budget, session
        self._clocks: dict[str, int] = {}

    def of(self, done: Committed) -> float:
        """What is allowed for what this commit has read."""
        if self._session:
            return self.budget * len(done.done.closed) / PER_SESSIONS
        if not done.clock_us:
            return 0.0
        first_us = done.first_us
        before = self._clocks.setdefault(done.shard, done.clock_us if first_us is None else first_us)
        self._clocks[done.shard] = max(before, done.clock_us)
        return self.budget * max(0, done.clock_us - before) / DAY_US / len(self._clocks)

    def forget(self, shard: str) -> None:
        """The shard is somebody else's."""
        self._clocks.pop(shard, None)


class Share:
    """The share of something among the last events, about ten to twenty thousand."""

    def __init__(self) -> None:
        """Nothing was seen."""
        self._among = self._of = 0.0

    def add(self, of: int, among: int) -> float:
        """Count some more; NaN before anything was seen."""
        self._of += of
        self._among += among
        if self._among > RECENT_EVENTS:
            self._of *= 0.5
            self._among *= 0.5
        return self._of / self._among if self._among else nan
