"""Lines of an unkeyed topic, routed to their sources' partitions, come to what a replay of them comes to."""

import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from detector.config.options import RedisAt
from detector.distributed.by_topic import by_topic, routing_feed
from detector.distributed.letters import Keeping
from detector.distributed.partitions import Partitions
from detector.shard.bundles import Bundles
from detector.store.outbox import Enrolment
from detector.store.redis.connect import store_at
from tests.kafka_feeds import Running, feed_of
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.small_bundle import small_bundle
from tests.watching import DEADLINE_S, core_of, lines_of, until
from tests.workers import come_to, last_lines, replayed, spread

PARTITIONS, ROUTED = 4, 3
SEED = 20


@pytest.mark.parametrize("session", [True, False], ids=["sessions", "streams"])
def test_what_is_routed_comes_to_what_replay_comes_to(
    kafka: Broker, redis: Server, session: bool, tmp_path: Path
) -> None:
    """Every revision of every alert, and every source's state, though every partition is hours behind."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = f"unkeyed-{'sessions' if session else 'streams'}", tmp_path / "app.log"
    routed = f"{topic}-routed"
    small_bundle(tmp_path / "bundle", session=session)
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 3000)] + last_lines(session=session)
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    topics.create(kafka.address, topic, partitions=PARTITIONS)
    topics.create(kafka.address, routed, partitions=ROUTED)
    spread(kafka.address, topic, lines, session=session)
    core, at = core_of(tmp_path / "bundle", log), RedisAt(url=redis.url, key_prefix=topic)
    expected = replayed(core, log)
    assert len(expected[1]) > 20
    feed = routing_feed(feed_of(kafka.address, topic), routed)
    with closing(store_at(at)) as store:
        keeping = Keeping(routed_topic=routed)
        partitions = Partitions(core, store, [Enrolment("ops", "there")], cache_sources=20, keeping=keeping)
        with by_topic(Bundles(core), feed, partitions, routed) as work:
            running = Running(feed, work)
            until(lambda: running.has_ended or _counted(partitions) == len(lines))
            # What ended is said as the marks of the routers come in, after the last line.
            ends_s = time.monotonic() + DEADLINE_S
            until(lambda: come_to(at, core) == expected or running.has_ended or time.monotonic() > ends_s)
            running.stop()
        assert running.error is None
    assert come_to(at, core) == expected


def _counted(partitions: Partitions) -> int:
    return sum(work.counts.lines for work in list(partitions.works.values()))
