"""Writes to topics for threads that have no event loop. Talks to Kafka; starts a thread."""

import asyncio
import threading
from collections.abc import Iterable

from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.producing import Message, Producer

CLOSE_S = 0.5  # to give the connections back


class Sender:
    """A producer in a thread of its own; any thread may send.

    The thread is a daemon: a broker that hangs does not keep a process alive that has given it up.
    """

    def __init__(self, connection: Connection) -> None:
        """Start the thread; connect to nothing yet."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="kafka-send", daemon=True)
        self._thread.start()
        self._producer = Producer(connection)

    def send(self, messages: Iterable[Message]) -> None:
        """Write them and wait until the brokers have all of them; raises as `Producer.send`."""
        asyncio.run_coroutine_threadsafe(self._producer.send(messages), self._loop).result()

    def close(self) -> None:
        """Give the connections back, and end the thread."""
        closed = asyncio.run_coroutine_threadsafe(self._producer.close(), self._loop)
        closed.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()
