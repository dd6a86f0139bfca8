"""Says once in a while what libraries say again and again. No I/O; it is told the time.

A client of Kafka that finds no broker says so ten times a second, and a worker has one for each partition.
"""

import logging
from collections.abc import Callable
from typing import Final

AGAIN_S: Final = 30.0
MOST = 1_000  # different things that are remembered


class Repeats(logging.Filter):
    """Lets one of each kind pass in a while, and the next one say how many there were between."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Everything is new; the clock only goes forward."""
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}  # when, and how many since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is said; of what it says, what is filled in makes no difference."""
        kind, now_s = (record.name, record.levelno, str(record.msg)), self._clock()
        said_s, more = self._said.get(kind, (now_s - AGAIN_S, 0))
        if now_s - said_s < AGAIN_S:
            self._said[kind] = said_s, more + 1
            return False
        if len(self._said) >= MOST:
            self._said.clear()
        self._said[kind] = now_s, 0
        if more:
            record.msg = f"{record.msg} (and {more} more like it before)"
        return True
