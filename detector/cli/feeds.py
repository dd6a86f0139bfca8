"""The inputs of a command that reads history: files, and topics of Kafka. Reads both."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from detector.errors import Unreadable

if TYPE_CHECKING:
    from detector.config import Settings
    from detector.inputs.kafka.feed import KafkaRecord, Shard
    from detector.records import Record
    from detector.shard.core import Core

Feeds = dict[str, "Iterable[list[Record]]"]


def files_of(inputs: Iterable[str], told: Callable[[str], object] = lambda _: None) -> list[str]:
    """The files among the inputs.

    Raises:
        Unreadable: one names nothing that can be read.
    """
    from detector.inputs.kafka.spans import is_topic  # noqa: PLC0415  # heavy: --help need not wait
    from detector.inputs.paths import find  # noqa: PLC0415

    return find([one for one in inputs if not is_topic(one)], told)


def has_topics(inputs: Iterable[str]) -> bool:
    """Whether there is a topic among the inputs."""
    from detector.inputs.kafka.spans import is_topic  # noqa: PLC0415

    return any(map(is_topic, inputs))


@contextmanager
def feeds_of(
    core: "Core",
    settings: "Settings",
    inputs: list[str],
    told: Callable[[str], object] = lambda _: None,
    damaged: Callable[[Unreadable], None] | None = None,
) -> Iterator[Feeds]:
    """Every log and every partition, to be read once while this is entered.

    Raises:
        BadSetup: a topic is not there, or no Kafka is configured.
        Unavailable: Kafka cannot be reached.
        Unreadable: a file cannot be read.
    """
    from detector.inputs.kafka.spans import is_topic, span_of  # noqa: PLC0415  # heavy: --help need not wait
    from detector.inputs.read import MAX_LINES, read_feed  # noqa: PLC0415

    bound = core.rules.bounds.max_line_bytes
    logs = core.feeds(files_of(inputs, told))
    feeds: Feeds = {log.origin: read_feed(log, max_line_bytes=bound, damaged=damaged) for log in logs}
    spans = [span_of(one) for one in inputs if is_topic(one)]
    if not spans:
        yield feeds
        return
    from detector.inputs.kafka.connection import connection_at  # noqa: PLC0415  # takes a second
    from detector.inputs.kafka.history import opened  # noqa: PLC0415

    with opened(connection_at(settings.kafka), spans, MAX_LINES) as partitions:
        for shard, batches in partitions:
            feeds[f"kafka://{shard.topic}/{shard.partition}"] = _records(
                shard, batches, is_placed=not settings.input.keyed
            )
        yield feeds


def _records(
    shard: "Shard", batches: "Iterable[list[KafkaRecord]]", *, is_placed: bool
) -> "Iterator[list[Record]]":
    """Records as the worker reads them; where it routes them, positions name topic and partition too."""
    from detector.distributed.routed import record_of  # noqa: PLC0415

    topic, number = shard
    for batch in batches:
        places = [f"{topic}/{number}/{one.offset}" if is_placed else "" for one in batch]
        yield [record_of(topic, one, place) for one, place in zip(batch, places, strict=True)]
