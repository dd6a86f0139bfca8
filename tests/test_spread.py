"""Sources that are on several partitions of their topic are told."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from detector.config.options import RedisAt
from detector.distributed.counts import check, confirm
from detector.distributed.spread import AGAIN_S, SAMPLE, Spread
from detector.store.redis.connect import nodes_at
from detector.store.redis.nodes import Nodes
from tests.places import Place
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.small_bundle import small_bundle
from tests.stores import shared_redis
from tests.watching import lines_of, until
from tests.workers import said, working

SOURCES = [f"web-{number}" for number in range(1000)]
SEED = 83


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """A Redis without anything of ours."""
    server = shared_redis()
    server("FLUSHALL")
    with closing(nodes_at(RedisAt(url=server.url))) as nodes:
        yield nodes


def told_of(looks: list[tuple[Spread, str, list[str]]]) -> list[tuple[str, list[int]]]:
    """The sources and partitions that are reported."""
    with capture_logs() as logs:
        for one, shard, sources in looks:
            one.look(shard, sources)
    return [(log["source"], log["partitions"]) for log in logs]


def test_a_source_on_two_partitions_is_told(nodes: Nodes) -> None:
    """Whether one worker has both, or each its own; by its name, of which nothing reaches the terminal."""
    first, second = Spread(nodes, "p"), Spread(nodes, "p")
    assert told_of([(first, "logs-0", ["\x1bweb"]), (first, "logs-3", ["\x1bweb"])]) == [("\\x1bweb", [0, 3])]
    assert told_of([(second, "logs-1", ["\x1bweb"])]) == [("\\x1bweb", [0, 1])]
    assert told_of([(second, "others-0", ["\x1bweb"])]) == []


def test_sources_that_keep_to_their_partition_are_not(nodes: Nodes) -> None:
    """However many there are; what a partition held before its worker's start does not count."""
    looks = [(Spread(nodes, "p"), f"logs-{n % 4}", SOURCES[n % 4 :: 4]) for n in range(8)]
    assert told_of(looks) == []
    assert (
        told_of([(Spread(nodes, "p"), "logs-0", ["other"]), (Spread(nodes, "p"), "logs-1", SOURCES[::4])])
        == []
    )


def test_of_many_sources_the_same_are_kept_everywhere(nodes: Nodes) -> None:
    """Two partitions that have seen all of them in another order; the sample is small."""
    one = Spread(nodes, "p")
    found = told_of(
        [(one, "logs-0", SOURCES), (one, "logs-1", SOURCES[500:]), (one, "logs-1", SOURCES[:500])]
    )
    assert len(found) == 1
    assert nodes.ask("{p:logs}:samples", "HSTRLEN", "{p:logs}:samples", 0) == SAMPLE * 8


def test_it_is_told_again_only_after_a_while(nodes: Nodes) -> None:
    """Once for a topic, whatever the source."""
    now_s = [0.0]
    one = Spread(nodes, "p", clock=lambda: now_s[0])
    looks = [(one, f"logs-{number}", ["web"]) for number in range(5)]
    assert len(told_of(looks)) == 1
    now_s[0] = AGAIN_S + 1
    assert len(told_of(looks)) == 1


def test_a_number_of_partitions_that_is_confirmed_begins_anew(nodes: Nodes) -> None:
    """Most sources are elsewhere from then on."""
    one = Spread(nodes, "p")
    one.look("logs-0", SOURCES)
    confirm(nodes, "p", {"logs": 8})
    assert told_of([(Spread(nodes, "p"), "logs-5", SOURCES)]) == []


@pytest.mark.parametrize(
    ("is_keyed", "advice"),
    [
        (True, "its lines are judged apart: key the topic by source, or set input.keyed = false"),
        (
            False,
            "its lines are out of order where one is behind another: key the topic by source, file or host",
        ),
    ],
    ids=["keyed", "routed"],
)
def test_a_worker_tells_of_lines_that_go_round(
    kafka: Broker, tmp_path: Path, is_keyed: bool, advice: str
) -> None:
    """As producers without a key send them, whether the topic is said to be keyed or is routed."""
    small_bundle(tmp_path / "bundle", session=False)
    topic, errors = f"round-{is_keyed:d}", tmp_path / "errors"
    more = f'start = "earliest"\nkeyed = {str(is_keyed).lower()}\n[bundle]\npath = "{tmp_path / "bundle"}"'
    place = Place(tmp_path, kafka, shared_redis(), topic, more)
    for name in (topic, f"{topic}-routed"):
        topics.create(kafka.address, name, partitions=2)
    lines = lines_of(SEED, 200)
    for partition in range(2):
        topics.produce(kafka.address, topic, lines[partition::2], partition=partition)
    with working(place.config, errors) as process:
        until(lambda: "several partitions" in errors.read_text() or process.poll() is not None)
        assert process.poll() is None
    [told] = said(errors, f"a source is on several partitions, so that {advice}")
    assert (told["topic"], told["partitions"]) == (topic, [0, 1])
    assert told["source"].startswith("web-")


def test_each_look_that_finds_one_is_counted(nodes: Nodes) -> None:
    """Also those that are not told, for a metric."""
    found: list[None] = []
    one = Spread(nodes, "p", found=lambda: found.append(None))
    told = told_of([(one, f"logs-{number}", ["web"]) for number in range(3)])
    assert (len(told), len(found)) == (1, 2)


def test_a_routed_topic_that_has_grown_begins_anew(nodes: Nodes) -> None:
    """Keys may have moved with it, and that is no fault."""
    check(nodes, "p", {"logs": 4}, keyed=())
    Spread(nodes, "p").look("logs-0", SOURCES)
    check(nodes, "p", {"logs": 8}, keyed=())
    assert told_of([(Spread(nodes, "p"), "logs-5", SOURCES)]) == []
