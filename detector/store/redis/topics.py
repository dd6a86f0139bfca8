"""How many partitions each topic had when somebody last looked at it and agreed. Talks to Redis."""

import msgspec

from detector.store.redis.keys import key
from detector.store.redis.nodes import Nodes


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
