"""What `tailrace worker` does. Talks to Kafka and Redis, sends alerts, takes signals."""

import random
import sys
import time
from functools import partial

from detector.cli.start import EXIT_INTERRUPTED, collect_rarely
from detector.cli.stopping import Stopping
from detector.config import Settings
from detector.distributed.worker import Worker
from detector.notify.deliver import Deliverer
from detector.notify.lane import Habits
from detector.notify.receivers import Receiver, target
from detector.shard.core import Core
from detector.store.outbox import Enrolment
from detector.store.redis.deliveries import open_deliveries

STOP_S = 2.0  # for requests in hand; with the batch in hand and leaving the group, ten seconds


def run(settings: Settings, core: Core, receivers: list[Receiver]) -> int:
    """Work until told to end; returns the exit code.

    Raises:
        TailraceError: see `Worker.work`.
    """
    collect_rarely()
    worker = Worker(
        settings, core, [Enrolment(r.name, target(r), r.max_pending, r.enable) for r in receivers]
    )
    deliverer = Deliverer(
        receivers,
        partial(open_deliveries, settings.redis, worker.shards),
        stdout=sys.stdout,
        clock=time.time,
        random=random.random,
        habits=Habits(max_age_s=settings.alerts.max_age_s, waits_for_outbox=True),
    )
    with Stopping() as stopping:
        deliverer.start()
        try:
            worker.work(stopping, deliverer.wake)
        finally:
            deliverer.stop(STOP_S)
        return EXIT_INTERRUPTED if stopping.interrupted else 0
