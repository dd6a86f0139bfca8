"""How many partitions the topics have, and whether that is what they were begun with. Talks to Redis.

A partition more sends many keys elsewhere: their sources begin anew there, and what they had come to stays
where nothing comes any more. So nobody goes on with another number unasked.
"""

from collections.abc import Collection, Mapping

from detector.errors import BadSetup
from detector.inputs.kafka.feed import Shard
from detector.store.redis.nodes import Nodes
from detector.store.redis.topics import PartitionCount, forget_samples, read_partitions, write_partitions


def check(
    nodes: Nodes, prefix: str, counts: Mapping[str, int], keyed: Collection[str]
) -> dict[str, PartitionCount]:
    """Note the topics that are begun now; gives what is noted of all of them.

    Topics that are not keyed by source may grow as they like.

    Raises:
        BadSetup: a keyed topic has another number of partitions than it had, with one line for each.
    """
    noted: dict[str, PartitionCount] = {}
    faults = []
    for topic, count in counts.items():
        found = read_partitions(nodes, prefix, topic)
        if found is None or (found.now != count and topic not in keyed):
            found = PartitionCount(count, count if found is None else min(found.begun, count))
            write_partitions(nodes, prefix, topic, found)
            forget_samples(nodes, prefix, topic)
        elif found.now != count:
            faults.append(changed(topic, found.now, f"{count}"))
        noted[topic] = found
    if faults:
        raise BadSetup("\n".join(faults))
    return noted


def check_shard(noted: Mapping[str, PartitionCount], shard: Shard) -> None:
    """Refuse a partition that came while the worker ran.

    Raises:
        BadSetup: there are more partitions than were noted.
    """
    found = noted.get(shard.topic)
    if found is not None and shard.partition >= found.now:
        raise BadSetup(changed(shard.topic, found.now, f"at least {shard.partition + 1}"))


def confirm(nodes: Nodes, prefix: str, counts: Mapping[str, int]) -> dict[str, int | None]:
    """Note the numbers as they are; gives those that were noted before."""
    before: dict[str, int | None] = {}
    for topic, count in counts.items():
        found = read_partitions(nodes, prefix, topic)
        before[topic] = None if found is None else found.now
        begun = count if found is None else min(found.begun, count)
        write_partitions(nodes, prefix, topic, PartitionCount(count, begun))
        forget_samples(nodes, prefix, topic)
    return before


def changed(topic: str, before: int, now: str) -> str:
    """What a person is told where the number is another."""
    return (
        f"topic {topic} has {now} partitions, and had {before}: its keys are spread anew, and a source that "
        "is now in another partition begins anew there; run `tailrace shards confirm` to go on so"
    )
