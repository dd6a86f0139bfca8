"""Ask Kafka, before anything is started, whether it has the topics and lets us read. Talks to Kafka."""

import asyncio
import time
from contextlib import suppress
from typing import NamedTuple

import structlog
from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest

from detector.errors import BadSetup, Unavailable
from detector.inputs.kafka.connection import client_options
from detector.inputs.kafka.faults import explained, refusal
from detector.inputs.kafka.feed import Feed
from detector.inputs.kafka.reach import reach

ANSWER_MS = 10_000
KNOWN_S = 10.0  # for a topic just made, or a broker just started, to be known
AGAIN_S = 0.2

log = structlog.get_logger("kafka")


class _Faults(NamedTuple):
    """What is wrong with the topics."""

    unknown: list[str]  # which may pass
    refused: list[str]


async def check(feed: Feed) -> None:
    """Make sure that a worker has something to read, and may.

    The right to read a topic is only asked for by reading: the first fetch finds it missing.

    Raises:
        Unavailable: no broker answers; or topics have come meanwhile, whose partitions nobody has counted.
        BadSetup: no broker lets us in; or a topic or a right is not there, with a line for each.
    """
    await reach(feed.connection)
    admin = AIOKafkaAdminClient(**client_options(feed.connection), request_timeout_ms=ANSWER_MS)
    try:
        await admin.start()
        refused = await _group(admin, feed)
        topics = await _topics(admin, feed, KNOWN_S if not refused else 0.0)
    except (errors.KafkaError, OSError) as error:
        raise explained(error, feed.connection) from error
    finally:
        with suppress(errors.KafkaError, OSError):
            await admin.close()
    missing = [
        f"Kafka at {feed.connection.names} has no topic {topic}: create it "
        "(`tailrace topics create` makes the worker's own), or correct its name"
        for topic in topics.unknown
    ]
    if missing or topics.refused or refused:
        raise BadSetup("\n".join([*missing, *topics.refused, *refused]))


async def _topics(admin: AIOKafkaAdminClient, feed: Feed, known_s: float) -> _Faults:
    """What is wrong with the topics; those that nobody knows are asked for again."""
    until_s, late = time.monotonic() + known_s, ""
    while True:
        faults = await _ask_topics(admin, feed)
        if not faults.unknown and late:
            raise Unavailable(f"Kafka at {feed.connection.names} knows topic {late} only now: beginning anew")
        if faults.refused or not faults.unknown or time.monotonic() >= until_s:
            return faults
        if not late:
            log.warning("waiting for topics that Kafka does not know", topics=faults.unknown)
        late = faults.unknown[0]
        await asyncio.sleep(AGAIN_S)


async def _ask_topics(admin: AIOKafkaAdminClient, feed: Feed) -> _Faults:
    """What is wrong with the topics now."""
    there = await admin.list_topics()  # those that we may see
    hidden = [topic for topic in (*feed.topics, *feed.written) if topic not in there]
    if not hidden:
        return _Faults([], [])
    answer = await admin._send_request(MetadataRequest(hidden, allow_auto_topic_creation=False))  # noqa: SLF001
    found = {topic: errors.for_code(code) for code, topic, *_ in answer.topics}
    refusals = {topic: refusal(found[topic](topic), feed.connection) for topic in hidden}
    refused = [str(one) for one in refusals.values() if one is not None]
    unknown = [topic for topic, one in refusals.items() if one is None]
    return _Faults(unknown, refused)


async def _group(admin: AIOKafkaAdminClient, feed: Feed) -> list[str]:
    """What is wrong with the group; a sign of life of a member that is none is refused in any case."""
    try:
        coordinator = await admin.find_coordinator(feed.group)
        answer = await admin._send_request(HeartbeatRequest(feed.group, -1, ""), coordinator)  # noqa: SLF001
        error = errors.for_code(answer.error_code)
    except errors.GroupAuthorizationFailedError:
        error = errors.GroupAuthorizationFailedError
    except errors.GroupCoordinatorNotAvailableError:  # of a new cluster: the first to join finds out
        return []
    refused = refusal(error(feed.group), feed.connection)
    return [] if refused is None else [str(refused)]
