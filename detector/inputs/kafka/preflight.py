"""Ask Kafka, before anything is started, whether it has the topics and lets us read. Talks to Kafka."""

from contextlib import suppress

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest

from detector.errors import BadSetup
from detector.inputs.kafka.connection import client_options
from detector.inputs.kafka.faults import explained, refusal
from detector.inputs.kafka.feed import Feed
from detector.inputs.kafka.reach import reach

ANSWER_MS = 10_000


async def check(feed: Feed) -> None:
    """Make sure that a worker has something to read, and may.

    The right to read a topic is only asked for by reading: the first fetch finds it missing.

    Raises:
        Unavailable: no broker answers.
        BadSetup: no broker lets us in; or a topic or a right is not there, with a line for each.
    """
    await reach(feed.connection)
    admin = AIOKafkaAdminClient(**client_options(feed.connection), request_timeout_ms=ANSWER_MS)
    try:
        await admin.start()
        faults = [*await _topics(admin, feed), *await _group(admin, feed)]
    except (errors.KafkaError, OSError) as error:
        raise explained(error, feed.connection) from error
    finally:
        with suppress(errors.KafkaError, OSError):
            await admin.close()
    if faults:
        raise BadSetup("\n".join(faults))


async def _topics(admin: AIOKafkaAdminClient, feed: Feed) -> list[str]:
    """What is wrong with the topics."""
    there = await admin.list_topics()  # those that we may see
    hidden = [topic for topic in (*feed.topics, *feed.written) if topic not in there]
    if not hidden:
        return []
    answer = await admin._send_request(MetadataRequest(hidden, allow_auto_topic_creation=False))  # noqa: SLF001
    found = {topic: errors.for_code(code) for code, topic, *_ in answer.topics}
    return [_topic(topic, found[topic], feed) for topic in hidden]


def _topic(topic: str, error: type[errors.KafkaError], feed: Feed) -> str:
    refused = refusal(error(topic), feed.connection)
    if refused is not None:
        return str(refused)
    return f"Kafka at {feed.connection.names} has no topic {topic}: create it, or correct its name"


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
