"""The topics and groups that a configuration needs, what is wrong with them, how ours are made. Pure."""

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from detector.config.options import KafkaAt, Settings
from detector.inputs.kafka.asking import Cluster, Topic
from detector.words import duration

Use = Literal["lines", "routed lines", "dead letters", "scores", "alerts"]

DAY_MS = 86_400_000
SHORT_MS = DAY_MS  # a worker that is away over a weekend loses lines of a topic that keeps less
KEPT_MS = 7 * DAY_MS  # of a topic of ours, unless the lines themselves are kept longer
USUAL_BYTES = 1_048_588  # that a message may have, as brokers come
AROUND_BYTES = 1 << 16  # what we add to a message: headers, and why it was put aside
SAFE = 3  # copies that survive the loss of a broker without a halt


class Needed(msgspec.Struct, frozen=True):
    """A topic that a configuration names."""

    name: str
    use: Use

    @property
    def is_ours(self) -> bool:
        """Whether nobody else writes to it."""
        return self.use != "lines"


class Plan(msgspec.Struct, frozen=True):
    """A topic that is to be made."""

    partitions: int
    replication: int
    settings: dict[str, str]


def needed(settings: Settings) -> list[Needed]:
    """Every topic that a worker of this configuration reads or writes."""
    kafka = settings.kafka
    found = [Needed(name, "lines") for name in kafka.topics]
    if not settings.input.keyed:
        found.append(Needed(kafka.routed_topic, "routed lines"))
    if kafka.dead_letter_topic is not None:
        found.append(Needed(kafka.dead_letter_topic, "dead letters"))
    if kafka.scores_topic is not None:
        found.append(Needed(kafka.scores_topic, "scores"))
    told = dict.fromkeys(receiver.topic for receiver in settings.receivers.kafka)
    found += [Needed(name, "alerts") for name in told]
    return found


def scored(settings: Settings) -> tuple[str, ...]:
    """The topics whose partitions are the shards with states."""
    return settings.kafka.topics if settings.input.keyed else (settings.kafka.routed_topic,)


def groups(settings: Settings) -> dict[str, str]:
    """Every consumer group, and what it does."""
    if settings.input.keyed:
        return {settings.kafka.group: "scores lines"}
    return {
        settings.kafka.group: "routes and scores lines",
        router_group(settings.kafka): "holds what is routed",
    }


def router_group(kafka: KafkaAt) -> str:
    """The group whose offsets say what was routed; nobody joins it."""
    return f"{kafka.group}-router"


def faults(one: Needed, topic: Topic | None, brokers: int, lines: Mapping[str, Topic]) -> Iterator[str]:
    """What is wrong with a topic, and what mends it; `lines` are the topics that hold them."""
    if topic is None:
        yield "missing: " + ("`tailrace topics create` makes it" if one.is_ours else "create it, or its name")
        return
    if topic.replication < min(SAFE, brokers):
        yield f"{topic.replication} of {brokers} brokers hold it: what they lose is lost"
    if not topic.settings:
        yield "its settings are not for us to see: allow DESCRIBE_CONFIGS"
        return
    in_sync, policy = int(topic.settings.get("min.insync.replicas", "1")), _policy(topic)
    if 1 < topic.replication <= in_sync:
        yield f"min.insync.replicas {in_sync}: while one broker is away nothing can be written"
    if one.is_ours and topic.replication >= SAFE and in_sync < SAFE - 1:
        yield f"min.insync.replicas {in_sync}: what was acknowledged may be lost with one broker"
    if "compact" in policy and one.use not in {"scores", "alerts"}:
        yield f"cleanup.policy {policy}: it keeps the last line of a key only; set it to delete"
    kept_ms = retention_ms(topic)
    if kept_ms is not None and kept_ms < SHORT_MS and one.use in {"lines", "routed lines"}:
        yield f"keeps lines for {duration(kept_ms / 1000)}: a worker that is away longer loses some"
    largest = max((_largest(of) for of in lines.values()), default=0)
    if one.use == "routed lines" and _largest(topic) < largest:
        yield f"max.message.bytes {_largest(topic)}: longer lines, up to {largest} bytes, are cut"


def plan(found: Cluster, lines: Mapping[str, Topic], partitions: int | None, replication: int | None) -> Plan:
    """How to make a topic of ours: as wide as the lines' own together, and kept as long as they are."""
    copies = replication or min(SAFE, found.brokers)
    kept = [retention_ms(topic) for topic in lines.values()]
    longest_ms = -1 if None in kept else max([KEPT_MS, *(one for one in kept if one is not None)])
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": str(longest_ms),
        "min.insync.replicas": str(SAFE - 1 if copies >= SAFE else 1),
        "max.message.bytes": str(max([USUAL_BYTES, *map(_largest, lines.values())]) + AROUND_BYTES),
    }
    wide = partitions or max(1, sum(topic.partitions for topic in lines.values()))
    return Plan(wide, copies, settings)


def retention_ms(topic: Topic) -> int | None:
    """How long a record is kept at least, None where time takes none or nobody knows."""
    kept_ms = int(topic.settings.get("retention.ms", "-1"))
    return None if kept_ms < 0 or "delete" not in _policy(topic) else kept_ms


def _policy(topic: Topic) -> str:
    return topic.settings.get("cleanup.policy", "delete")


def _largest(topic: Topic) -> int:
    return int(topic.settings.get("max.message.bytes", USUAL_BYTES))
