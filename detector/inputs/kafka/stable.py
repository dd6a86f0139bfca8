"""Read a group's committed offset once no transaction may still change it. Talks to Kafka.

aiokafka asks in a version of the protocol (3) that answers while a transaction is being completed, with what
was there before it; version 7 refuses until that is settled (KIP-447, Kafka 2.5).
"""

import asyncio
from typing import Any

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

    def __init__(self, group: str, part: TopicPartition) -> None:
        self._group, self._part = group, part

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        topics: list[object] = [(self._part.topic, [self._part.partition], {})]
        return request_struct_class(self._group, topics, True, {})


async def committed(client: AIOKafkaClient, group: str, part: TopicPartition) -> int | None:
    """The offset that the group has committed, None where it has none; waits for open transactions.

    Raises:
        KafkaError: the broker refuses.
    """
    while True:
        try:
            node = await client.coordinator_lookup(CoordinationType.GROUP, group)
            answer = await client.send(node, _OffsetFetch(group, part), group=ConnectionGroup.COORDINATION)
        except errors.GroupAuthorizationFailedError:
            raise errors.GroupAuthorizationFailedError(group) from None  # this one names it
        except errors.KafkaError as error:
            if not error.retriable:
                raise
        else:
            code, offset = _read(answer)
            if code == 0:
                return None if offset < 0 else offset
            problem = errors.for_code(code)
            if code != UNSTABLE and not problem.retriable:
                raise problem(group)
        await asyncio.sleep(AGAIN_S)


def _read(answer: Any) -> tuple[int, int]:
    """Error code and offset of the one partition that was asked for."""
    if answer.error_code:
        return int(answer.error_code), -1
    [(_, [(_, offset, _, _, code, _)], _)] = answer.topics
    return int(code), int(offset)
