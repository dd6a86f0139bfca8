"""A worker that kills itself (kill -9) in the middle of routing. Changes the process that calls it."""

import os
import signal
from typing import Any

from aiokafka import AIOKafkaProducer

from detector.inputs.kafka.forwarding import Forwarding

# Of a transaction: before its lines, behind them, behind how far was read, and when it is done.
POINTS = ("begun", "sent", "noted", "committed")


def die_at(point: str, transaction: int) -> None:
    """Let this process end at a point of its nth transaction that has lines."""
    left = transaction
    send, commit = Forwarding._send, AIOKafkaProducer.commit_transaction

    def come_to(here: str) -> None:
        if here == point and left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def dying_send(self: Forwarding, producer: AIOKafkaProducer, messages: Any) -> None:
        nonlocal left
        left -= bool(messages)
        come_to("begun")
        await send(self, producer, messages)
        come_to("sent")

    async def dying_commit(self: AIOKafkaProducer) -> None:
        come_to("noted")
        await commit(self)
        come_to("committed")

    Forwarding._send = dying_send  # type: ignore[method-assign]
    AIOKafkaProducer.commit_transaction = dying_commit
