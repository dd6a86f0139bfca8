"""What `tailrace watch` does. Reads files, writes the state file, sends alerts, takes signals."""

import random
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from detector.cli.observing import Backlog, Observed, observed, uses
from detector.cli.start import EXIT_INTERRUPTED, collect_rarely
from detector.cli.stopping import Stopping
from detector.config import Settings
from detector.embedded.watch import SHARD, Bounds, Watch, follow
from detector.errors import Unreadable
from detector.inputs.batch import Batch
from detector.inputs.follow import Follower
from detector.inputs.paths import STDIN
from detector.notify.deliver import Deliverer
from detector.notify.lane import Habits
from detector.notify.receivers import Receiver, target
from detector.notify.topic import Putting
from detector.shard.bundles import Bundles
from detector.shard.core import Core
from detector.shard.hints import Hints
from detector.store.deliveries import open_deliveries
from detector.store.outbox import Enrolment
from detector.store.sqlite import Store

STOP_S = 10.0  # for requests in hand
WAITING = (
    "the next start with --once tries them at once, one without it when they are due; "
    "both keep a pause that the receiver asked for"
)

_log: Final = structlog.get_logger()


class Order(msgspec.Struct, frozen=True):
    """What is to be watched, and for whom."""

    inputs: list[str]
    state: Path
    once: bool
    start: Literal["start", "end"]
    receivers: list[Receiver]
    putting: Putting | None = None  # how topics are written to

    @property
    def ends(self) -> bool:
        """Whether there is an end to what is read."""
        return self.once or set(self.inputs) == {STDIN}


def run(order: Order, settings: Settings, core: Core) -> int:
    """Watch until told to end; returns the exit code.

    Raises:
        BadSetup: the state belongs to another bundle, or a receiver cannot work.
        Fenced: another process has the state file.
        Unreadable: an input cannot be read.
    """
    poll_s, names = settings.input.poll_s, [receiver.name for receiver in order.receivers]
    collect_rarely()
    with (
        Stopping() as stopping,
        closing(Store(order.state)) as store,
        observed(settings, ("inputs",), names, pause_s=poll_s) as shown,
    ):
        uses(shown.metrics, core)
        fence = store.fence(SHARD)
        follower = Follower(
            order.inputs,
            None if fence is None else msgspec.json.decode(fence.fence),
            start=order.start,
            max_line_bytes=core.rules.bounds.max_line_bytes,
        )
        bounds = Bounds(
            settings.batch.max_lines,
            settings.batch.max_bytes,
            settings.state.cache_sources,
            settings.state.cache_bytes,
        )
        bundles = Bundles(core, poll_s=settings.bundle.poll_s, told=partial(uses, shown.metrics))
        watch = Watch(core, store, follower, fence, bounds, shown.metrics.committed, bundles)
        _log.info(
            "watching",
            inputs=order.inputs,
            begin=order.start if fence is None else f"commit {fence.number}",
            bundle=core.bundle.id,
            state=str(order.state),
        )
        habits = Habits(max_age_s=settings.alerts.max_age_s, told=shown.metrics.delivered)
        with _delivering(order, store, habits) as deliverer:
            reporter = _Reporter(watch, deliverer, ends=order.ends)
            showing = _Showing(watch, order, shown)

            def after(batch: Batch) -> None:
                reporter.after(batch)
                showing.after(batch)

            last = follow(watch, stopping, poll_s=poll_s, once=order.ends, after=after)
        _say_what_is_left(order, watch, session=core.policy.session)
        if order.once and last is not None:
            _check_read(order, last)
        return EXIT_INTERRUPTED if stopping.interrupted else 0


def _check_read(order: Order, last: Batch) -> None:
    """Refuse to call it done where something could not be read, or no file is a log.

    Raises:
        Unreadable: names every file with its reason.
    """
    faults = [trouble.reason for trouble in last.troubles if not trouble.is_skipped]
    if not faults and STDIN not in order.inputs and not last.fence_after["files"]:
        skipped = [trouble.reason for trouble in last.troubles]
        faults = [f"{', '.join(order.inputs)}: none of the files is a log; {one}" for one in skipped[:1]]
    if faults:
        raise Unreadable("; ".join(faults))


@contextmanager
def _delivering(order: Order, store: Store, habits: Habits) -> Iterator[Deliverer]:
    """Deliver from the state file until the end; then, where the input ends, what is still due."""
    deliverer = Deliverer(
        order.receivers,
        partial(open_deliveries, order.state),
        stdout=sys.stdout,
        clock=time.time,
        random=random.random,
        habits=habits,
        putting=order.putting,
    )
    enrolments = [Enrolment(r.name, target(r), r.max_pending, r.enable) for r in order.receivers]
    store.enrol(SHARD, enrolments)
    if order.ends:  # who runs it now and then does not come when a delivery happens to be due
        with open_deliveries(order.state) as deliveries:
            deliveries.hurry(time.time())
    deliverer.start()
    try:
        yield deliverer
    finally:
        deliverer.stop(STOP_S)
    if order.ends:
        deliverer.drain()


def _say_what_is_left(order: Order, watch: Watch, *, session: bool) -> None:
    """The closing words: what was done, which deliveries wait, and what is still open."""
    names = {receiver.name for receiver in order.receivers}
    states = _counts(order.state).items()
    waiting = {name: count for (name, state), count in states if state == "pending" and name in names}
    if waiting:
        _log.warning("deliveries wait", receivers=waiting, hint=WAITING)
    left: dict[str, int] = {"undelivered": sum(waiting.values())}
    if session and order.ends:  # reads every state: a service that is told to stop has no time for it
        left["open_sessions"] = watch.work.open_sources()
    _log.info("stopped", **msgspec.to_builtins(watch.counts), **left)


def _counts(state: Path) -> Mapping[tuple[str, str], int]:
    with open_deliveries(state) as deliveries:
        return deliveries.counts()


class _Showing:
    """Says to whoever asks over HTTP that the watch goes on, and what waits for receivers."""

    def __init__(self, watch: Watch, order: Order, shown: Observed) -> None:
        self._watch, self._health = watch, shown.health
        names = [receiver.name for receiver in order.receivers]
        self._backlog = Backlog(shown, names, partial(_counts, order.state))

    def after(self, batch: Batch) -> None:
        """A batch has been committed."""
        self._health.ready("inputs", True)
        self._health.tick()
        self._health.progress("inputs", self._watch.counts.commits, behind=not batch.at_end)
        self._backlog.look()


class _Reporter:
    """Tells the deliverer of news, and people of what went wrong with the input, once each."""

    def __init__(self, watch: Watch, deliverer: Deliverer, *, ends: bool) -> None:
        self._watch, self._deliverer, self._ends = watch, deliverer, ends
        self._revisions = 0
        self._told: set[tuple[str, str]] = set()
        self._hints = Hints()

    def after(self, batch: Batch) -> None:
        """A batch has been committed."""
        revisions = self._watch.counts.revisions
        if revisions != self._revisions or not batch.parts:
            self._revisions = revisions
            self._deliverer.wake()
        self._hints.tell(self._watch.work.intake, whole=batch.at_end and self._ends)
        for loss in batch.losses:
            _log.warning("lines lost", path=loss.origin, generation=loss.generation, bytes=loss.lost_bytes)
        for trouble in batch.troubles:
            if (trouble.path, trouble.reason) not in self._told:
                self._told.add((trouble.path, trouble.reason))
                _log.warning("cannot read", path=trouble.path, reason=trouble.reason)
