"""Ask Kafka, before anything is started, whether it is there and has the topics. Talks to Kafka."""

from contextlib import suppress

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from detector.errors import BadSetup, Unavailable
from detector.inputs.kafka.connection import client_options
from detector.inputs.kafka.feed import Feed

ANSWER_MS = 10_000


async def check(feed: Feed) -> None:
    """Make sure that a worker has something to read.

    Raises:
        Unavailable: no broker answers.
        BadSetup: a topic is not there.
    """
    admin = AIOKafkaAdminClient(**client_options(feed.connection), request_timeout_ms=ANSWER_MS)
    try:
        await admin.start()
        there = await admin.list_topics()
    except (KafkaError, OSError) as error:
        raise Unavailable(f"Kafka at {feed.connection.names} cannot be reached: {error}") from error
    finally:
        with suppress(KafkaError, OSError):
            await admin.close()
    missing = [topic for topic in feed.topics if topic not in there]
    if missing:
        raise BadSetup(
            f"Kafka at {feed.connection.names} has no topic {' and no topic '.join(missing)}: "
            "create it, or correct its name"
        )
