"""`tailrace topics`: what the worker needs of Kafka, what is wrong with it, how its own topics are made."""

from pathlib import Path

import pytest

from detector.distributed.topics import Needed, faults, plan
from detector.inputs.kafka.asking import Cluster, Topic
from tests.places import Place
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.stores import shared_redis

GOOD = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "min.insync.replicas": "2",
    "max.message.bytes": "1048588",
}
LINES, ROUTED = Needed("logs", "lines"), Needed("routed", "routed lines")


@pytest.fixture
def redis() -> Server:
    """A server of this run."""
    return shared_redis()


def test_missing_topics_of_our_own_are_made_once(kafka: Broker, redis: Server, tmp_path: Path) -> None:
    """As wide as the topic with the lines; that one is never made, and a second run changes nothing."""
    place = Place(tmp_path, kafka, redis, "made", "", 'dead_letter_topic = "made-dead"')
    said = place.run("topics", "create")
    assert (said.returncode, said.stdout) == (2, "")
    assert "there is no topic made" in said.stderr
    topics.create(kafka.address, "made", partitions=3)
    assert "made-routed\tmade: 3 partitions" in place.run("topics", "create").stdout
    assert place.run("topics", "create", "--partitions", "7").stdout.splitlines() == [
        f"made{end}\tis there" for end in ("", "-routed", "-dead")
    ]
    lines, routed, dead, group, _ = place.said("topics show", "topic")
    assert (routed["partitions"], routed["retention_s"], routed["cleanup"]) == (3, 604_800.0, "delete")
    assert [one["faults"] for one in (lines, routed, dead)] == [[], [], []]
    assert (group["kind"], group["faults"]) == ("group", ["has no member: no worker runs"])


def test_what_is_missing_or_wrong_is_shown(kafka: Broker, redis: Server, tmp_path: Path) -> None:
    """Text is for people: a line for each topic and group."""
    place = Place(tmp_path, kafka, redis, "wrong", "", 'dead_letter_topic = "wrong-dead"')
    topics.create(kafka.address, "wrong", retention_ms="3600000", cleanup_policy="compact,delete")
    lines = place.run("topics", "show").stdout.splitlines()
    assert len(lines) == 6
    assert "keeps lines for 1 h" in lines[1]
    assert "the last line of a key" in lines[1]
    assert "missing: `tailrace topics create` makes it" in lines[2]
    assert "no worker runs" in lines[4]


def test_brokers_that_refuse_are_exit_2(kafka: Broker, redis: Server, tmp_path: Path) -> None:
    """What they say is told: nothing is away, and trying again does not help."""
    said = Place(tmp_path, kafka, redis, "refused", "", 'dead_letter_topic = "refused-dead"').run(
        "topics", "create", "--partitions", "1", "--replication", "3"
    )
    assert said.returncode == 2
    assert "does not make topic refused-routed" in said.stderr


@pytest.mark.parametrize(
    ("needed", "replication", "settings", "said"),
    [
        (LINES, 3, {}, ""),
        (LINES, 1, {}, "1 of 3 brokers hold it"),
        (LINES, 3, {"min.insync.replicas": "3"}, "while one broker is away nothing can be written"),
        (ROUTED, 3, {"min.insync.replicas": "1"}, "what was acknowledged may be lost"),
        (ROUTED, 3, {"cleanup.policy": "compact"}, "set it to delete"),
        (Needed("scores", "scores"), 3, {"cleanup.policy": "compact"}, ""),
        (ROUTED, 3, {"retention.ms": "60000"}, "keeps lines for 1 min"),
        (ROUTED, 3, {"retention.ms": "-1"}, ""),
        (ROUTED, 3, {"max.message.bytes": "1000"}, "longer lines, up to 1048588 bytes, are cut"),
    ],
)
def test_each_fault_of_a_topic_is_named(
    needed: Needed, replication: int, settings: dict[str, str], said: str
) -> None:
    """And a topic as it should be has none."""
    topic = Topic(needed.name, 4, replication, GOOD | settings)
    found = list(faults(needed, topic, 3, {"logs": Topic("logs", 4, 3, GOOD)}))
    assert len(found) == (1 if said else 0)
    assert said in "".join(found)


def test_our_topics_keep_what_is_in_them_as_long_as_the_lines_are_kept() -> None:
    """Three copies where there are as many brokers; the widest message of any topic fits."""
    lines = {"a": Topic("a", 4, 3, GOOD), "b": Topic("b", 2, 3, GOOD | {"retention.ms": "-1"})}
    made = plan(Cluster(5, lines), lines, None, None)
    assert (made.partitions, made.replication) == (6, 3)
    assert made.settings["retention.ms"] == "-1"
    assert made.settings["min.insync.replicas"] == "2"
    assert int(made.settings["max.message.bytes"]) > int(GOOD["max.message.bytes"])
