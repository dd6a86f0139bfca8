"""`make chaos MINUTES=10`: rounds of random faults under random load, until the time is up or one differs.

`python -m tests.faults.chaos MINUTES [SEED]`; prints the seed and a line a round, and exits 1 with what
differed. A round has servers, topic, bundle and receiver of its own; its faults come one after the other,
some while the worker has not got over the one before.
"""

import logging
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from detector.store.redis.scripts import COMMIT, script
from tests.faults.crew import REPAIRED, pause, wake
from tests.faults.dying import POINTS
from tests.faults.stage import Stage, staged
from tests.servers.kafka import Broker
from tests.servers.redis import Proxy, Server
from tests.servers.redis import serving as redis_serving
from tests.small_bundle import small_bundle

FAULTS = 8  # of a round
KEEPS_ALL = ("--appendonly", "yes", "--appendfsync", "always")


@dataclass(slots=True)
class Round:
    """What the faults of one round happen to."""

    stage: Stage
    broker: Broker
    redis: Server
    proxy: Proxy
    rng: random.Random
    servers: ExitStack  # that end with the round

    def wait(self, most_s: float) -> None:
        """Let some time pass, whatever happens in it."""
        threading.Event().wait(self.rng.uniform(0.0, most_s))


def kill(it: Round) -> None:
    """Kill -9 of a worker; another takes its place."""
    it.stage.crew.kill(it.rng.choice(it.stage.crew.workers))
    it.stage.crew.hire()


def router_dies(it: Round) -> None:
    """A worker takes the place of another and kills itself in a transaction that passes lines on."""
    crew = it.stage.crew
    crew.kill(it.rng.choice(crew.workers))
    crew.hire(dies=(it.rng.choice(POINTS), it.rng.randrange(1, 6)))


def join(it: Round) -> None:
    """One more worker, up to three."""
    if len(it.stage.crew.workers) < 3:
        it.stage.crew.hire()


def leave(it: Round) -> None:
    """A worker is told to end; the last one is replaced."""
    worker = it.rng.choice(it.stage.crew.workers)
    if worker.exitcode is None and worker not in it.stage.crew.doomed:
        code = it.stage.crew.dismiss(worker)
        # While it still starts, nothing is in hand, and the signal ends it.
        assert code in {0, -signal.SIGTERM, *REPAIRED}, f"exit {code}: {it.stage.crew.last_words()}"
    if not it.stage.crew.workers:
        it.stage.crew.hire()


def sleep(it: Round) -> None:
    """A worker stands still, perhaps for longer than its session."""
    worker = it.rng.choice(it.stage.crew.workers)
    if worker.exitcode is None:
        pause(worker)
        it.wait(4.0)
        if worker.exitcode is None:  # else it had just ended when it was to stand still
            wake(worker)


def broker_dies(it: Round) -> None:
    """Kill -9 of the broker."""
    it.broker.kill()
    it.wait(2.0)
    it.broker.start()


def broker_hangs(it: Round) -> None:
    """The broker answers nobody, perhaps for longer than a session."""
    it.broker.freeze()
    it.wait(4.0)
    it.broker.thaw()


def redis_dies(it: Round) -> None:
    """Kill -9 of Redis, with all that it acknowledged."""
    it.redis.kill()
    it.wait(2.0)
    it.redis.start()


def redis_hangs(it: Round) -> None:
    """Redis answers nobody, perhaps for longer than is waited for an answer."""
    it.redis.freeze()
    it.wait(6.0)
    it.redis.thaw()


def redis_is_set_back(it: Round) -> None:
    """Redis comes back with what it held a while ago."""
    snapshot = it.redis.snapshot()
    it.wait(3.0)
    it.redis.restore(snapshot)


def replica_takes_over(it: Round) -> None:
    """Redis dies, and clients are led to a replica that lacks its last writes."""
    folder = it.redis.folder.with_name(f"replica-of-{it.redis.port}")
    replica = it.servers.enter_context(redis_serving(folder, *KEEPS_ALL))
    replica.replicate(it.redis)
    it.redis.cut_off()
    it.wait(3.0)
    it.redis.kill()
    it.redis = replica
    it.proxy.lead_to(replica.port)
    it.wait(1.0)
    replica("REPLICAOF", "NO", "ONE")


def redis_is_emptied(it: Round) -> None:
    """Somebody flushed the wrong server."""
    it.redis("FLUSHALL")


def reply_is_lost(it: Round) -> None:
    """Redis commits a batch, and the worker does not hear of it."""
    it.proxy.cut_reply_to(script(COMMIT).digest.encode())


def receiver_fails(it: Round) -> None:
    """The receiver is down, slow or broken."""
    notices = it.stage.notices
    ways: list[Callable[[], None]] = [notices.down, notices.be_slow, partial(notices.answer, 500)]
    it.rng.choice(ways)()
    it.wait(3.0)
    notices.down()
    notices.up()


ALL: tuple[Callable[[Round], None], ...] = (
    kill, kill, kill, join, leave, sleep, broker_dies, broker_hangs, redis_dies, redis_hangs, receiver_fails,
    redis_is_set_back, redis_is_emptied, replica_takes_over, reply_is_lost,
)  # fmt: skip
ROUTED: tuple[Callable[[Round], None], ...] = (*ALL, router_dies, router_dies, sleep)


def play(seed: int) -> str:
    """One round; what to tell of it."""
    rng = random.Random(seed)
    session, keyed = rng.random() < 0.5, rng.random() < 0.5
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        (folder / "kafka").mkdir()
        small_bundle(folder / "bundle", session=session)
        broker = Broker(folder / "kafka")
        broker.start()
        try:
            with (
                ExitStack() as servers,
                redis_serving(folder / "redis", *KEEPS_ALL) as redis,
                closing(Proxy(redis.port)) as proxy,
                staged(
                    folder, broker=broker.address, redis=f"redis://127.0.0.1:{proxy.port}", topic="chaos",
                    bundle=folder / "bundle", session=session, keyed=keyed, rng=rng,
                    workers=rng.choice([1, 2]), timeout_s=2.0,
                ) as stage,
            ):  # fmt: skip
                # Of two workers one may be late, and what Redis has forgotten is sent again.
                stage.notices.in_order = False
                return _faults(Round(stage, broker, redis, proxy, rng, servers), session=session)
        finally:
            broker.stop()


def _faults(it: Round, *, session: bool) -> str:
    stage, done = it.stage, []
    for _ in range(FAULTS):
        if it.rng.random() < 0.6:
            stage.come_on(it.rng.choice([1, 50, 200]))
        it.wait(0.3)
        fault = it.rng.choice(ALL if stage.keyed else ROUTED)
        done.append(fault.__name__)
        fault(it)
        stage.crew.tend()
    stage.come_on()
    revisions = stage.finish()
    kind = f"{'keyed' if stage.keyed else 'routed'} {'sessions' if session else 'streams'}"
    return (
        f"{kind}: {' '.join(done)}; ended by themselves with {stage.crew.exits}; "
        f"{len(stage.load.lines)} lines, {len(revisions)} revisions as in the replay"
    )


def main(minutes: str, seed: str = "") -> None:
    """Play rounds until the time is up."""
    first = int(seed) if seed else random.SystemRandom().randrange(1 << 32)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of brokers that we have killed
    until_s = time.monotonic() + float(minutes) * 60
    number = 0
    while not number or time.monotonic() < until_s:
        sys.stdout.write(f"seed {first + number}: ")
        sys.stdout.flush()
        try:
            sys.stdout.write(play(first + number) + "\n")
        except AssertionError as error:
            sys.stdout.write(f"\n{error}\n")
            sys.exit(1)
        number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
