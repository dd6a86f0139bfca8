"""Publishes the score of every event to a topic, keyed by source. Writes Kafka.

Before the commit of their batch: what the process does not survive is computed and published again, the same.
"""

from collections.abc import Sequence

import msgspec

from detector.errors import BadRecord, BadSetup
from detector.inputs.kafka.feed import Shard
from detector.inputs.kafka.producing import Message
from detector.inputs.kafka.sending import Sender
from detector.records import ScoredEvent
from detector.shard.core import Core
from detector.shard.rows import EVENT_COLUMNS, event_row

COLUMNS = (*EVENT_COLUMNS, "topic", "partition")  # with the position: which event it is


class Scores:
    """Writes rows to one topic."""

    def __init__(self, sender: Sender, topic: str) -> None:
        """Write through a sender, which the caller closes."""
        self._sender, self._topic = sender, topic

    def publish(self, shard: Shard, core: Core, events: Sequence[ScoredEvent]) -> None:
        """Write a row for each event, and come back when the brokers have all of them.

        Raises:
            Unavailable: Kafka cannot be reached.
            BadSetup: a right is missing, or the topic takes no message as large as a row.
        """
        try:
            self._sender.send([self._message(shard, core, event) for event in events])
        except BadRecord as error:
            raise BadSetup(f"kafka.scores_topic {self._topic}: {error}") from error

    def _message(self, shard: Shard, core: Core, event: ScoredEvent) -> Message:
        row = [*event_row(event, core.explain.template(event.token)[0]), *shard]
        value = msgspec.json.encode(dict(zip(COLUMNS, row, strict=True)))
        return Message(self._topic, event.source.encode("utf-8", "replace"), value)
