"""Redis killed at random instants (kill -9): every commit is there whole or not at all, and work goes on."""

import random
import sys
import threading
from contextlib import closing
from pathlib import Path

from detector.config.options import RedisAt
from detector.errors import Unavailable
from detector.store.contract import Commit
from detector.store.outbox import Enrolment
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.store import RedisStore
from detector.store.redis.written import read_alerts
from tests.delivery import revision
from tests.servers.redis import serving

SHARD = "logs/0"
SOURCES = 400
KILLS = 12


def batch(number: int) -> Commit:
    """A commit that depends on nothing but its number, so that it can be computed again."""
    rng = random.Random(number)
    names = rng.sample(range(SOURCES), 100)
    return Commit(
        shard=SHARD,
        based_on=number,
        bundle="b1",
        fence=b"%d" % (number + 1),
        memory=b"m",
        states={f"s{name}": rng.choice([None, b"%d " % number * 100]) for name in names},
        due_us={f"s{name}": number for name in names[:50]},
        revisions=[revision(f"a{number}", 1)],
        rejects=[],
    )


def expected(commits: int) -> dict[str, bytes]:
    """What the states are after so many commits."""
    states: dict[str, bytes | None] = {}
    for number in range(commits):
        states.update(batch(number).states)
    return dict(sorted((name, state) for name, state in states.items() if state is not None))


def test_a_kill_at_any_instant_leaves_whole_commits(tmp_path: Path) -> None:
    """After each restart the states are those of the stored fence; in the end those of an undisturbed run."""
    seed = random.randrange(1_000_000)
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    number, confirmed = 0, 0
    with serving(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as server:
        for _ in range(KILLS):
            with closing(store_at(RedisAt(url=server.url))) as store:
                number = started(store)
                assert number in {confirmed, confirmed + 1}
                assert store.all_states(SHARD) == expected(number)
                killer = threading.Timer(rng.uniform(0.0, 0.05), server.kill)
                killer.start()
                confirmed = work(store, number)
                killer.join()
            server.start()
        settings = RedisAt(url=server.url)
        with closing(store_at(settings)) as store, closing(nodes_at(settings)) as nodes:
            number = started(store)
            store.commit(batch(number))
            assert store.all_states(SHARD) == expected(number + 1)
            assert len(read_alerts(nodes, "tailrace")) == min(number + 1, RedisAt().kept_revisions)
    assert number > KILLS, "too few commits between the kills to say anything"


def started(store: RedisStore) -> int:
    """What every start does."""
    store.enrol(SHARD, [Enrolment("ops", "there")])
    fence = store.fence(SHARD)
    assert fence is None or fence.fence == b"%d" % fence.number
    return 0 if fence is None else fence.number


def work(store: RedisStore, number: int) -> int:
    """Commit until the server is gone; the number of the last commit that was confirmed."""
    try:
        while True:
            store.commit(batch(number))
            number += 1
    except Unavailable:  # in doubt or not
        return number
