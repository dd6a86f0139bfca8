"""Publishes dead letters in a thread of its own. Talks to Redis and Kafka; starts a thread.

At least once: what was sent and could not be noted is sent again, under the same topic, partition and offset.
"""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
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
        self._ended = Future[None]()
        # A daemon: a server that hangs does not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="dead-letters", daemon=True)

    def start(self) -> None:
        """Publish in the background from now on."""
        self._thread.start()

    def wake(self) -> None:
        """Say that something may have been put aside; raises what ended the thread, if something did."""
        if self._ended.done():
            self._ended.result()
        self._news.set()

    def stop(self, deadline_s: float) -> None:
        """End after what is in hand, the rest waits in Redis; raises what ended the thread before."""
        self._is_stopping = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(deadline_s)
        if self._ended.done():
            self._ended.result()

    def _work(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  (raised where somebody asks)
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    def _run(self) -> None:
        with (
            closing(nodes_at(self._settings.redis)) as nodes,
            closing(Sender(connection_at(self._settings.kafka))) as sender,
        ):
            letters, wait_s = Letters(nodes, self._settings.redis.key_prefix), FIRST_WAIT_S
            while not self._is_stopping:
                self._news.clear()
                reasons = self._publish(letters, sender)
                if reasons:
                    reason = next(iter(reasons.values()))
                    _log.warning("dead letters wait", shards=[*reasons], reason=reason, again_in_s=wait_s)
                    self._news.wait(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                else:
                    wait_s = FIRST_WAIT_S
                    self._news.wait(REST_S)

    def _publish(self, letters: Letters, sender: Sender) -> dict[str, str]:
        """All that wait, shard by shard; gives the shards that could not be done, and why.

        They wait also for a right, or for a topic that takes more: what is put aside is kept meanwhile.
        """
        reasons: dict[str, str] = {}
        for shard in self._shards():
            if self._is_stopping:
                break
            try:
                self._publish_of(shard, letters, sender)
            except TailraceError as error:
                reasons[shard] = str(error)
        return reasons

    def _publish_of(self, shard: str, letters: Letters, sender: Sender) -> None:
        """All that wait in a shard, in their order."""
        while not self._is_stopping and (found := letters.unpublished(shard, most_bytes=AT_ONCE_BYTES)):
            self._send([letter for _, letter in found], sender)
            letters.published(shard, found[-1][0])

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
