"""Writes alerts to a topic, keyed by source, so that those of a source stay in order. Network I/O.

Which client speaks to Kafka is the caller's to say: it gives the function that writes one message.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from detector.errors import TailraceError
from detector.notify.answer import Answer, Outcome
from detector.notify.body import fitted
from detector.notify.queue import Notification, Send
from detector.notify.receivers import TopicReceiver

MAX_ALERT_BYTES = 500_000  # half of what brokers take unless told otherwise

Headers = tuple[tuple[str, bytes], ...]
Put = Callable[[str, bytes, bytes, Headers], Awaitable[None]]  # topic, key, value, headers
Putting = Callable[[], AbstractAsyncContextManager[Put]]


class _Of(msgspec.Struct):
    source: str


@asynccontextmanager
async def open_topic(receiver: TopicReceiver, putting: Putting) -> AsyncIterator[Send]:
    """Hold the connections; gives the function that makes one attempt."""
    async with putting() as put:

        async def send(notification: Notification) -> Answer:
            payload = notification.payload
            key = msgspec.json.decode(payload, type=_Of).source.encode("utf-8", "replace")
            headers = (("tailrace-id", f"{notification.alert_id}.{notification.revision}".encode()),)
            try:
                await put(receiver.topic, key, fitted(payload, MAX_ALERT_BYTES), headers)
            except TailraceError as error:
                return Answer(Outcome.FAILED, str(error))
            return Answer(Outcome.DELIVERED)

        yield send
