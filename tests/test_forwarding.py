"""How large a message may be: asked of the broker until it says so, or says that we may not know."""

import tracemalloc
from collections.abc import Sequence
from contextlib import closing

import pytest
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from detector.inputs.kafka.feed import Shard
from detector.inputs.kafka.forwarding import (
    MAX_MESSAGE,
    USUAL_MESSAGE_BYTES,
    Answer,
    Forwarding,
    partition_of,
)
from tests.kafka_feeds import feed_of
from tests.servers import topics
from tests.servers.kafka import Broker

SAID = Answer(0, None, [(MAX_MESSAGE, "5000000")])
NOTHING, UNKNOWN = Answer(0, None, []), Answer(UnknownTopicOrPartitionError.errno, "no such topic", [])
REFUSED = Answer(TopicAuthorizationFailedError.errno, "may not", [])


class Told(Forwarding):
    """Gets these answers, one after the other."""

    answers: Sequence[Answer]

    async def _topic_settings(self) -> Answer:
        answer, *self.answers = self.answers
        return answer


def sizes(kafka: Broker, name: str, *answers: Answer) -> list[int]:
    """What a message may have after each opening of a shard, where the broker answers so."""
    topic = f"answered-{name}"
    topics.create(kafka.address, topic, partitions=len(answers))
    topics.create(kafka.address, f"{topic}-routed")
    found = []
    with closing(Told(feed_of(kafka.address, topic), f"{topic}-routed")) as forwarding:
        forwarding.answers = answers
        for partition in range(len(answers)):
            forwarding.open(Shard(topic, partition))
            found.append(forwarding.max_message_bytes)
    return found


@pytest.mark.parametrize("answer", [NOTHING, UNKNOWN], ids=["nothing", "unknown"])
def test_a_broker_that_does_not_say_it_is_asked_again(kafka: Broker, answer: Answer) -> None:
    """A topic just made may not be known to it yet; the usual size holds for so long."""
    found = sizes(kafka, f"late-{answer.code}", answer, answer, SAID)
    assert found == [USUAL_MESSAGE_BYTES, USUAL_MESSAGE_BYTES, 5_000_000]


@pytest.mark.parametrize("answer", [SAID, REFUSED], ids=["said", "refused"])
def test_what_was_said_or_refused_is_not_asked_again(kafka: Broker, answer: Answer) -> None:
    """Each shard that is taken would ask for it."""
    first, second = sizes(kafka, f"once-{answer.code}", answer, Answer(0, None, [(MAX_MESSAGE, "7")]))
    assert first == second


def test_long_keys_take_no_memory() -> None:
    """Where lines name no source, their partition goes by whatever keys their producers choose."""
    tracemalloc.start()
    for number in range(50):
        partition_of(b"%d" % number * 20_000, 3)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000
