"""`tailrace alerts resend`: let what was given up wait again. Writes the state file or Redis."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

from cyclopts import Parameter

from detector.cli.options import ConfigFile, StateOfAlerts
from detector.errors import BadSetup
from detector.words import counted

if TYPE_CHECKING:
    from detector.config import Settings


class GivenUp(Protocol):
    """What waits in the outbox, and what does no more."""

    def resend(self, receiver: str) -> int:
        """Make dead deliveries wait again and count them, except those that a higher revision overtook."""

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the deliveries that are kept, per receiver and state."""


def resend(
    receiver: Annotated[str, Parameter(name="RECEIVER", help="Its name in the configuration.")],
    /,
    *,
    state: StateOfAlerts = None,
    config: ConfigFile = None,
) -> None:
    """Send a receiver again what was given up: it was away for days, or too much waited for it.

    A `watch` or `worker` that runs begins within a minute. What newer news of the same alert has overtaken is
    left out, and so is what `alerts.max_age_s` is too short for.

    Example: tailrace alerts resend pager --state tailrace.db

    Raises:
        BadSetup: neither a state file nor Redis is named, or nothing was ever kept for that receiver.
        Unreadable: the state file is not there.
        Unavailable: Redis cannot be reached.
    """
    with _opened(state, config) as deliveries:
        known = sorted({name for name, _ in deliveries.counts()})
        if receiver not in known:
            raise BadSetup(
                f"nothing is kept for a receiver named {receiver!r}, only for: {', '.join(known) or 'none'}"
            )
        found = deliveries.resend(receiver)
    sys.stdout.write(f"{receiver}\t{counted(found, 'revision')} waiting again\n")


@contextmanager
def _opened(state: Path | None, config: Path | None) -> Iterator[GivenUp]:
    from detector.config import load  # noqa: PLC0415  # slow to import, and --help need not wait

    settings = load(config, os.environ)
    path = state or settings.state.path
    if path is not None:
        from detector.store.alerts import read_alerts  # noqa: PLC0415
        from detector.store.deliveries import open_deliveries  # noqa: PLC0415

        read_alerts(path, "none")  # of a file that is missing or none of ours it says so
        with open_deliveries(path) as deliveries:
            yield deliveries
    elif settings.redis.url is not None:
        with _in_redis(settings) as shards:
            yield shards
    else:
        raise BadSetup(
            "name the state file with --state FILE, or in the configuration as path of [state], or Redis as "
            "url of [redis]"
        )


@contextmanager
def _in_redis(settings: "Settings") -> Iterator[GivenUp]:
    from detector.store.redis.connect import nodes_at  # noqa: PLC0415
    from detector.store.redis.deliveries import open_deliveries  # noqa: PLC0415
    from detector.store.redis.written import shards  # noqa: PLC0415

    with closing(nodes_at(settings.redis)) as nodes:
        found = shards(nodes, settings.redis.key_prefix)
    with open_deliveries(settings.redis, lambda: found) as deliveries:
        yield deliveries
