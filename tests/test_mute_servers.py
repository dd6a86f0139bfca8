"""Kafka or Redis takes connections and does not answer: a worker ends when told to, and lives meanwhile."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from detector.config import load
from detector.distributed.watched import CONDITIONS
from detector.distributed.worker import Worker
from detector.errors import Unavailable
from detector.inputs.kafka import reach as reaching
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.reach import reach
from detector.inputs.kafka.run import run
from detector.metrics.metrics import Metrics
from detector.shard.bundles import Bundles
from detector.web.health import Health
from tests.kafka_feeds import Keeper, feed_of
from tests.scraping import ask
from tests.servers.kafka import Broker
from tests.servers.mute import Mute, mute
from tests.servers.redis import serving as redis_serving
from tests.small_bundle import small_bundle
from tests.test_worker_web import WEB, port_of
from tests.watching import core_of, until
from tests.workers import configured, working

END_S = 10.0
LOOKS_S = 2.0
GAP_S = 1.5  # a tenth of a second is usual


@contextmanager
def without(kind: str, tmp_path: Path) -> Iterator[tuple[Path, Mute]]:
    """A worker's configuration, and those of its servers that do not answer."""
    with ExitStack() as stack:
        if kind == "kafka":
            mutes = stack.enter_context(mute(3))
            broker = '", "'.join(mutes.addresses)  # a list within quotes
            (tmp_path / "redis").mkdir()
            redis = stack.enter_context(redis_serving(tmp_path / "redis")).url
        else:
            mutes = stack.enter_context(mute(1))
            broker, redis = "127.0.0.1:1", f"redis://{mutes.addresses[0]}"
        small_bundle(tmp_path / "bundle", session=False)
        config = configured(
            tmp_path / "tailrace.toml",
            bundle=tmp_path / "bundle", broker="BROKERS", topic="mute", redis=redis, more=WEB,
        )  # fmt: skip
        text = config.read_text().replace("BROKERS", broker)
        config.write_text(text.replace("[redis]", "[redis]\ntimeout_s = 60.0"))
        yield config, mutes


class Looked:
    """Tells a worker to end after a while; keeps how long it went without asking."""

    def __init__(self) -> None:
        """Count from now."""
        self._ends_s = time.monotonic() + LOOKS_S
        self._asked_s = time.monotonic()
        self._pause = threading.Event()
        self.longest_s = 0.0

    def wait(self, seconds: float) -> bool:
        """Wait that long; whether the while is over."""
        self.longest_s = max(self.longest_s, time.monotonic() - self._asked_s)
        self._pause.wait(seconds)
        self._asked_s = time.monotonic()
        return self._asked_s > self._ends_s


@pytest.mark.parametrize("kind", ["kafka", "redis"])
def test_sigterm_ends_a_worker_whose_servers_do_not_answer(kind: str, tmp_path: Path) -> None:
    """It lives and is not ready, and ends as it would with nothing in hand."""
    errors = tmp_path / "errors"
    with without(kind, tmp_path) as (config, mutes), working(config, errors) as process:
        port = port_of(errors)
        until(mutes.has_guest)
        assert (ask(port, "/livez")[0], ask(port, "/readyz")[0]) == (200, 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) == 0


@pytest.mark.parametrize("kind", ["kafka", "redis"])
def test_the_loop_goes_round_while_servers_do_not_answer(kind: str, tmp_path: Path) -> None:
    """Whether it is to end is asked all the time, and so it is known to live."""
    with without(kind, tmp_path) as (config, _):
        bundles = Bundles(core_of(tmp_path / "bundle"))
        health = Health(CONDITIONS, stall_s=GAP_S, clock=time.monotonic)
        worker = Worker(load(config, os.environ), bundles, [], health, Metrics(time.time))
        looked, began_s = Looked(), time.monotonic()
        worker.work(looked, lambda: None)
        took_s = time.monotonic() - began_s
    assert health.stuck() == ""
    assert (looked.longest_s < GAP_S, took_s < LOOKS_S + GAP_S) == (True, True)


def test_the_loop_goes_round_while_topics_are_asked_for() -> None:
    """Brokers may fall silent after they have let us in."""
    with mute(3) as mutes:
        feed = feed_of("", "mute", connection=Connection(brokers=tuple(mutes.addresses)))
        looked, began_s = Looked(), time.monotonic()
        run(feed, Keeper(), looked)
        took_s = time.monotonic() - began_s
    assert (looked.longest_s < GAP_S, took_s < LOOKS_S + GAP_S) == (True, True)


def test_mute_brokers_cost_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are asked at once, with one deadline, and each is named."""
    monkeypatch.setattr(reaching, "WHOLE_S", 1.0)
    with mute(3) as mutes:
        began_s = time.monotonic()
        with pytest.raises(Unavailable) as away:
            asyncio.run(reach(Connection(brokers=tuple(mutes.addresses))))
        took_s = time.monotonic() - began_s
    assert took_s < 1.0 + GAP_S
    for address in mutes.addresses:
        assert f"Kafka at {address} has not answered in 1 s" in str(away.value)


def test_mute_brokers_do_not_keep_from_one_that_answers(kafka: Broker) -> None:
    """Whichever is named first."""
    with mute(2) as mutes:
        first, last = mutes.addresses
        began_s = time.monotonic()
        asyncio.run(reach(Connection(brokers=(first, kafka.address, last))))
        assert time.monotonic() - began_s < reaching.ANSWER_S
