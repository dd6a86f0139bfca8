"""A worker on real Kafka and Redis comes to the alerts and states of a replay over the same lines."""

import sys
from contextlib import closing
from pathlib import Path

from detector.config.options import RedisAt
from detector.distributed.partitions import Partitions
from detector.store.outbox import Enrolment
from detector.store.redis.connect import store_at
from tests.kafka_feeds import Running, feed_of
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.watching import core_of, lines_of, until
from tests.workers import come_to, last_lines, replayed, spread

PARTITIONS = 4
SEED = 20


def test_a_worker_comes_to_what_replay_comes_to(
    kafka: Broker, redis: Server, bundle_of_kind: Path, session: bool, tmp_path: Path
) -> None:
    """Every revision of every alert, and every source's state, over four partitions."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = f"equal-{'sessions' if session else 'streams'}", tmp_path / "app.log"
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 3000)] + last_lines(session=session)
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    topics.create(kafka.address, topic, partitions=PARTITIONS)
    spread(kafka.address, topic, lines, session=session)
    core, at = core_of(bundle_of_kind, log), RedisAt(url=redis.url, key_prefix=topic)
    with closing(store_at(at)) as store:
        work = Partitions(core, store, [Enrolment("ops", "there")], cache_sources=20)
        running = Running(feed_of(kafka.address, topic), work)
        until(lambda: sum(one.counts.lines for one in work.works.values()) == len(lines) or running.has_ended)
        running.stop()
        assert running.error is None
    expected = replayed(core, log)
    assert len(expected[1]) > 20
    assert come_to(at, core) == expected
