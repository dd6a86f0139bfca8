"""What `tailrace worker` does. Talks to Kafka and Redis, sends alerts, takes signals."""

import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from detector.cli.observing import Backlog, observed, uses
from detector.cli.receivers import putting_of
from detector.cli.start import EXIT_INTERRUPTED, collect_rarely
from detector.cli.stopping import Stopping
from detector.config import Settings
from detector.distributed.publishing import Publisher
from detector.distributed.watched import CONDITIONS
from detector.distributed.worker import LONGEST_WAIT_S, Worker
from detector.notify.deliver import Deliverer
from detector.notify.lane import Habits
from detector.notify.receivers import Receiver, target
from detector.shard.bundles import Bundles
from detector.shard.core import Core
from detector.store.outbox import Enrolment
from detector.store.redis.deliveries import Deliveries, open_deliveries

SWITCH_S = 0.001  # what fetches, routes and delivers waits no longer for the thread that judges
END_S = 8.0  # from the word to end until requests in hand are cut off
STOP_S, LEAST_STOP_S = 2.0, 0.2  # for requests in hand, after the batch in hand and leaving the group


def run(settings: Settings, core: Core, receivers: list[Receiver]) -> int:
    """Work until told to end; returns the exit code.

    Raises:
        TailraceError: see `Worker.work`.
    """
    collect_rarely()
    sys.setswitchinterval(SWITCH_S)
    names = [receiver.name for receiver in receivers]
    with (
        threads_that_fail_are_logged(),
        Stopping() as stopping,
        observed(settings, CONDITIONS, names, pause_s=LONGEST_WAIT_S) as shown,
    ):
        uses(shown.metrics, core)
        bundles = Bundles(core, poll_s=settings.bundle.poll_s, told=partial(uses, shown.metrics))
        enrolments = [Enrolment(r.name, target(r), r.max_pending, r.enable) for r in receivers]
        worker = Worker(settings, bundles, enrolments, shown.health, shown.metrics)
        outbox = partial(open_deliveries, settings.redis, worker.shards)
        deliverer = Deliverer(
            receivers,
            outbox,
            stdout=sys.stdout,
            clock=time.time,
            random=random.random,
            habits=Habits(
                max_age_s=settings.alerts.max_age_s, waits_for_outbox=True, told=shown.metrics.delivered
            ),
            putting=putting_of(settings),
        )
        backlog = Backlog(shown, names, partial(_counts, outbox))
        topic = settings.kafka.dead_letter_topic
        publishers = [] if topic is None else [Publisher(settings, topic, worker.shards)]
        with _helping([deliverer, *publishers], stopping) as wake:
            worker.work(stopping, wake, backlog.look)
        return EXIT_INTERRUPTED if stopping.interrupted else 0


@contextmanager
def threads_that_fail_are_logged() -> Iterator[None]:
    """As one entry, like all else: a library's thread that ends by an error would print its traceback."""
    before = threading.excepthook

    def log(failed: threading.ExceptHookArgs) -> None:
        error = failed.exc_value
        info = None if error is None else (failed.exc_type, error, failed.exc_traceback)
        logging.getLogger("threading").error("a thread has failed", exc_info=info)

    threading.excepthook = log
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def _helping(helpers: Sequence[Deliverer | Publisher], stopping: Stopping) -> Iterator[Callable[[], None]]:
    """Threads that take from the outbox; gives what tells them of news.

    What came before them may have used up their time: all together end within ten seconds.
    """

    def wake() -> None:
        for helper in helpers:
            helper.wake()

    try:
        for helper in helpers:
            helper.start()
        yield wake
    finally:
        stop_s = max(LEAST_STOP_S, min(STOP_S, END_S - stopping.asked_for_s()))
        for helper in helpers:
            helper.stop(stop_s / len(helpers))


def _counts(outbox: Callable[[], AbstractContextManager[Deliveries]]) -> Mapping[tuple[str, str], int]:
    with outbox() as deliveries:
        return deliveries.counts()
