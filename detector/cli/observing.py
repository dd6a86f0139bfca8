"""What a daemon shows of itself: health and metrics, and where it is configured, a server for both."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import inf

from detector.config import Settings
from detector.metrics.metrics import Metrics
from detector.shard.core import Core
from detector.web.health import Health
from detector.web.server import serving

LOOK_S = 10.0  # how often what waits for receivers is counted


@dataclass(frozen=True, slots=True)
class Observed:
    """What the daemon tells of how it is and what it does, whether anybody asks or not."""

    health: Health
    metrics: Metrics
    served: bool


def uses(metrics: Metrics, core: Core) -> None:
    """Say which bundle is in use from now on."""
    metrics.uses(core.bundle.id, core.policy.budget, session=core.policy.session)


@contextmanager
def observed(
    settings: Settings, conditions: Iterable[str], receivers: Iterable[str], *, pause_s: float = 0.0
) -> Iterator[Observed]:
    """Serve at `web.listen` until the end, if that is set; `pause_s` is how long the loop may rest.

    It is ready when every condition is met.

    Raises:
        BadSetup: nobody can listen there.
    """
    listen, stall_s = settings.web.listen, settings.web.stall_timeout_s + pause_s
    health, metrics = Health(conditions, stall_s=stall_s, clock=time.monotonic), Metrics(time.time)
    metrics.delivers_to(receivers)
    with nullcontext() if listen is None else serving(listen, health, metrics.page):
        yield Observed(health, metrics, served=listen is not None)


class Backlog:
    """Tells the metrics, now and then, how many deliveries wait for each receiver, if anybody can ask."""

    def __init__(
        self,
        shown: Observed,
        receivers: Iterable[str],
        counts: Callable[[], Mapping[tuple[str, str], int]],
    ) -> None:
        """`counts` gives the deliveries in the outbox by receiver and state."""
        self._metrics, self._receivers, self._counts = shown.metrics, list(receivers), counts
        self._due_s = 0.0 if shown.served else inf

    def look(self) -> None:
        """Count, if it is time again."""
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + LOOK_S
            counts = self._counts()
            for name in self._receivers:
                waiting, dead = counts.get((name, "pending"), 0), counts.get((name, "dead"), 0)
                self._metrics.kept(name, waiting=waiting, dead=dead)
