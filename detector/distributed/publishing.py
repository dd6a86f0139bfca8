"""Publishes dead letters in a thread of its own. Talks to Redis and Kafka; starts a thread.

At least once: what was sent and could not be noted is sent again, under the same topic, partition and offset.
"""

import threading
from collections.abc import Callable, Collection
from contextlib import closing
from typing import Final

import structlog

from detector.config import Settings
from detector.distributed.letters import message
from detector.errors import BadRecord, TailraceError
from detector.inputs.kafka.connection import connection_at
from detector.inputs.kafka.sending import Sender
from detector.records import DeadLetter
from detector.store.redis.connect import nodes_at
from detector.store.redis.letters import Letters

AT_ONCE_BYTES = 1_000_000
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
REST_S = 60.0  # without news; what another worker has left comes with its shard

_log: Final = structlog.get_logger("dead-letters")


class Publisher:
    """Writes what is put aside in the shards of this process to the dead-letter topic."""

    def __init__(self, settings: Settings, topic: str, shards: Callable[[], Collection[str]]) -> None:
        """Connect to nothing yet; `shards` is asked each time, they come and go."""
        self._settings, self._topic, self._shards = settings, topic, shards
        self._news = threading.Event()
        self._is_stopping = False
        # A daemon: a server that hangs does not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="dead-letters", daemon=True)

    def start(self) -> None:
        """Publish in the background from now on."""
        self._thread.start()

    def wake(self) -> None:
        """Say that something may have been put aside."""
        self._news.set()

    def stop(self, deadline_s: float) -> None:
        """End after what is in hand; the rest waits in Redis."""
        self._is_stopping = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(deadline_s)

    def _run(self) -> None:
        with (
            closing(nodes_at(self._settings.redis)) as nodes,
            closing(Sender(connection_at(self._settings.kafka))) as sender,
        ):
            letters, wait_s = Letters(nodes, self._settings.redis.key_prefix), FIRST_WAIT_S
            while not self._is_stopping:
                self._news.clear()
                try:
                    self._publish(letters, sender)
                except TailraceError as error:  # waits also for a right: what is put aside is kept meanwhile
                    _log.warning("dead letters wait", reason=str(error), again_in_s=wait_s)
                    self._news.wait(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                else:
                    wait_s = FIRST_WAIT_S
                    self._news.wait(REST_S)

    def _publish(self, letters: Letters, sender: Sender) -> None:
        """All that wait, shard by shard in their order."""
        for shard in self._shards():
            while found := letters.unpublished(shard, most_bytes=AT_ONCE_BYTES):
                self._send([letter for _, letter in found], sender)
                letters.published(shard, found[-1][0])
                if self._is_stopping:
                    return

    def _send(self, some: list[DeadLetter], sender: Sender) -> None:
        try:
            sender.send([message(one, self._topic) for one in some])
        except BadRecord:
            for one in some:
                self._fit(one, sender)

    def _fit(self, one: DeadLetter, sender: Sender) -> None:
        """Cut the value until the topic takes it."""
        length = len(one.value)
        while True:
            try:
                sender.send([message(one, self._topic, length)])
            except BadRecord:
                if not length:
                    raise
                length //= 4
            else:
                return
