"""Read a group's committed offset, once no transaction may still change it. Talks to Kafka.

aiokafka asks in a version of the protocol (3) that answers while a transaction is being completed, with what
was there before it; version 7 refuses until that is settled (KIP-447, Kafka 2.5).
"""

import asyncio
import time
from typing import Any, NamedTuple

from aiokafka import TopicPartition, errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

AGAIN_S = 0.05
UNSTABLE = 88  # error code: a transaction with these offsets is open, or being completed
_NAME = CompactString("utf-8")


class _Response(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", _NAME),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _NAME),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("group", _NAME),
        (
            "topics",
            CompactArray(("topic", _NAME), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class _OffsetFetch(Request[_Struct]):  # type: ignore[misc]
    API_KEY = 9

    def __init__(self, group: str, part: TopicPartition, *, settled: bool) -> None:
        self._group, self._part, self._settled = group, part, settled

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        topics: list[object] = [(self._part.topic, [self._part.partition], {})]
        return request_struct_class(self._group, topics, self._settled, {})


class Undecided(Exception):
    """A transaction with this offset has not come to its end, however long one waits."""


class Offset(NamedTuple):
    """What a group has committed for a partition."""

    next: int
    note: str  # whatever was written beside it


async def committed(
    client: AIOKafkaClient, group: str, part: TopicPartition, *, settle_s: float | None
) -> Offset | None:
    """What the group has committed, None where that is nothing; waits so long for open transactions.

    Without `settle_s` it is what was committed before those.

    Raises:
        Undecided: one is still open.
        KafkaError: the broker refuses.
    """
    request, until_s = _OffsetFetch(group, part, settled=settle_s is not None), None
    while True:
        try:
            node = await client.coordinator_lookup(CoordinationType.GROUP, group)
            answer = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        except errors.GroupAuthorizationFailedError:
            raise errors.GroupAuthorizationFailedError(group) from None  # this one names it
        except errors.KafkaError as error:
            if not error.retriable:
                raise
        else:
            code, offset = _read(answer)
            if code == 0:
                return None if offset.next < 0 else offset
            if code == UNSTABLE:
                until_s = until_s or time.monotonic() + (settle_s or 0.0)
                if time.monotonic() > until_s:
                    raise Undecided
            elif not errors.for_code(code).retriable:
                raise errors.for_code(code)(group)
        await asyncio.sleep(AGAIN_S)


def _read(answer: Any) -> tuple[int, Offset]:
    """Error code, and what is said of the one partition that was asked for."""
    if answer.error_code:
        return int(answer.error_code), Offset(-1, "")
    [(_, [(_, offset, _, note, code, _)], _)] = answer.topics
    return int(code), Offset(int(offset), note or "")
