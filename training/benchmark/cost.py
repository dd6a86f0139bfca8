"""How long something took, by the clock and in CPU time of this process and its children. Reads clocks."""

import resource
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock, and of CPU."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: "Spent") -> "Spent":
        """Both one after the other."""
        return Spent(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


NOTHING = Spent(0.0, 0.0)


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        """Start."""
        self._wall_s, self._cpu_s = time.perf_counter(), _cpu_s()

    def spent(self) -> Spent:
        """What has passed since the start."""
        return Spent(time.perf_counter() - self._wall_s, _cpu_s() - self._cpu_s)


def _cpu_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
