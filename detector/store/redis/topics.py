"""What is noted of topics: how many partitions they had, some sources of each. Talks to Redis."""

from collections.abc import Sequence

import msgspec

from detector.store.redis.keys import key
from detector.store.redis.nodes import Nodes

HASH_BYTES = 8  # of a source in a sample


class PartitionCount(msgspec.Struct, frozen=True):
    """The partitions of a topic."""

    now: int
    begun: int  # as many as it had when it was begun; later ones are read from their start


def read_partitions(nodes: Nodes, prefix: str, topic: str) -> PartitionCount | None:
    """What is noted of a topic, None where nobody has begun it."""
    at = key(prefix, topic, "partitions")
    now, begun = nodes.ask(at, "HMGET", at, "now", "begun")
    return None if now is None or begun is None else PartitionCount(int(now), int(begun))


def write_partitions(nodes: Nodes, prefix: str, topic: str, partitions: PartitionCount) -> None:
    """Note what a topic has; two who do so at once note the same."""
    at = key(prefix, topic, "partitions")
    nodes.ask(at, "HSET", at, "now", partitions.now, "begun", partitions.begun)


def share_sample(
    nodes: Nodes, prefix: str, topic: str, partition: int, hashes: Sequence[bytes]
) -> dict[int, set[bytes]]:
    """Write down the sample of a partition; gives those of all."""
    at = key(prefix, topic, "samples")
    nodes.ask(at, "HSET", at, partition, b"".join(hashes))
    row = nodes.ask(at, "HGETALL", at)
    return {int(number): _split(packed) for number, packed in zip(row[::2], row[1::2], strict=True)}


def forget_samples(nodes: Nodes, prefix: str, topic: str) -> None:
    """Forget all samples of a topic: its sources are in other partitions from now on."""
    at = key(prefix, topic, "samples")
    nodes.ask(at, "UNLINK", at)


def _split(packed: bytes) -> set[bytes]:
    return {packed[start : start + HASH_BYTES] for start in range(0, len(packed), HASH_BYTES)}
