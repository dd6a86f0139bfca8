"""What the worker reads, as the configuration says. No I/O."""

from datetime import datetime
from typing import Literal

from detector.config import Settings
from detector.distributed.by_topic import routing_feed
from detector.distributed.lacking import lacking
from detector.errors import BadSetup
from detector.inputs.kafka.connection import connection_at
from detector.inputs.kafka.feed import Feed

_WORDS: dict[str, Literal["latest", "earliest"]] = {
    "end": "latest",
    "latest": "latest",
    "start": "earliest",
    "earliest": "earliest",
}


def start_of(settings: Settings) -> Literal["latest", "earliest"] | datetime:
    """Where to begin in a partition that has not been read before."""
    start = settings.input.start
    return _WORDS.get(start) or datetime.fromisoformat(start)


def feed_of(settings: Settings) -> Feed:
    """The topics that a worker of this configuration reads.

    Raises:
        BadSetup: with one line for everything that is missing.
    """
    kafka = settings.kafka
    if missing := lacking(settings):
        raise BadSetup("\n".join(missing))
    feed = Feed(
        connection=connection_at(kafka),
        group=kafka.group,
        topics=kafka.topics,
        written=_written(settings),
        start=start_of(settings),
        max_lines=settings.batch.max_lines,
        max_bytes=settings.batch.max_bytes,
        session_timeout_s=kafka.session_timeout_s,
        rebalance_timeout_s=kafka.session_timeout_s,
        drain_timeout_s=kafka.drain_timeout_s,
        stall_timeout_s=kafka.stall_timeout_s,
    )
    return feed if settings.input.keyed else routing_feed(feed, kafka.routed_topic)


def _written(settings: Settings) -> tuple[str, ...]:
    """The topics that a worker writes to, beside the routed one."""
    ours = (settings.kafka.dead_letter_topic, settings.kafka.scores_topic)
    return tuple(dict.fromkeys([*filter(None, ours), *(one.topic for one in settings.receivers.kafka)]))
