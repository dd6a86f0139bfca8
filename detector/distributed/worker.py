"""A worker from its start to its end: Kafka through the core into Redis. Talks to both; starts threads.

Kafka and Redis are waited for while nothing is in flight, and then everything is made anew: what was in
memory may be ahead of the store. A commit in doubt, and any other surprise, ends the process.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Final, NamedTuple

import structlog
from msgspec.structs import replace

from detector.config import Settings
from detector.distributed.awaiting import awaited
from detector.distributed.by_topic import by_topic
from detector.distributed.counts import check as check_counts
from detector.distributed.feed import feed_of
from detector.distributed.letters import Keeping
from detector.distributed.partitions import Partitions
from detector.distributed.scores import Scores
from detector.distributed.spread import KEYED, ROUTED, Spread
from detector.distributed.topics import scored
from detector.distributed.trials import Owed
from detector.distributed.watched import STORE, Ticking, Watched
from detector.errors import InDoubt, Unavailable
from detector.inputs.kafka.asking import partitions
from detector.inputs.kafka.feed import Shard, Stopping, Work
from detector.inputs.kafka.run import run
from detector.inputs.kafka.sending import Sender
from detector.metrics.committed import Committed, Told
from detector.metrics.metrics import Metrics
from detector.records import ScoredEvent
from detector.shard.bundles import Bundles
from detector.shard.core import Core
from detector.store.outbox import Enrolment
from detector.store.redis.connect import Server, check, nodes_at, store_at
from detector.store.redis.nodes import Nodes
from detector.store.redis.topics import PartitionCount
from detector.web.health import Health

TAKEN_OVER_S = 5.0  # after the end of a session the group gives its partitions out anew
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0

_log: Final = structlog.get_logger("worker")


class _Found(NamedTuple):
    server: Server
    counts: dict[str, PartitionCount]  # of the topics that are read


class Worker:
    """One member of the group."""

    def __init__(
        self,
        settings: Settings,
        bundles: Bundles,
        receivers: Sequence[Enrolment],
        health: Health,
        metrics: Metrics,
    ) -> None:
        """Connect to nothing yet; BadSetup lists what the configuration lacks."""
        self._settings, self._bundles, self._receivers = settings, bundles, receivers
        self._health, self._metrics = health, metrics
        self._feed = feed_of(settings)
        self._partitions: Partitions | None = None
        self._wait_s = FIRST_WAIT_S
        self._owed: dict[str, Owed] = {}

    def shards(self) -> list[str]:
        """The shards that this worker owns now; for any thread."""
        partitions = self._partitions
        return [] if partitions is None else [str(shard) for shard in list(partitions.works)]

    def work(
        self, stopping: Stopping, news: Callable[[], None], after: Callable[[], None] = lambda: None
    ) -> None:
        """Work until told to end; `news` is called when there may be something to deliver.

        `after` is called, in the thread that works, whenever something was done.

        Raises:
            BadSetup: a topic, a right or a login is missing, the states belong to another bundle, or a topic
                has another number of partitions than before.
            InDoubt: a commit was sent and not answered; the next start finds out.
            Fenced: another worker has gone on with a shard.
            Stuck: Kafka gives nothing although there is something.
        """
        stopping = Ticking(stopping, self._health)
        while not stopping.wait(0):
            try:
                found = awaited(self._find, stopping)
                if found is None:
                    break
                with ExitStack() as stack:
                    nodes = stack.enter_context(closing(nodes_at(self._settings.redis)))
                    spread = self._spread(nodes)
                    partitions = stack.enter_context(self._connected(found, news, spread))
                    work = stack.enter_context(self._routed(partitions, spread))
                    watched = stack.enter_context(self._watched(work, after))
                    run(self._feed, watched, stopping, watched.stand_by)
            except InDoubt:
                raise
            except Unavailable as error:
                self._health.ready(STORE, False, "waiting for Kafka or Redis")
                _log.warning("waiting", reason=str(error), again_in_s=self._wait_s)
                stopping.wait(self._wait_s)
                self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def _find(self) -> _Found:
        """Ask Redis and Kafka for what is needed to begin."""
        settings, feed = self._settings, self._feed
        with closing(nodes_at(settings.redis)) as nodes:
            server = check(nodes)
            self._health.ready(STORE, True)
            found = partitions(feed.connection, feed.topics)
            counts = check_counts(nodes, settings.redis.key_prefix, found, scored(settings))
        return _Found(server, counts)

    @contextmanager
    def _connected(self, found: _Found, news: Callable[[], None], spread: Spread) -> Iterator[Partitions]:
        """What works until something cannot be reached."""
        settings, counts = self._settings, found.counts
        feed = replace(self._feed, added={topic: count.begun for topic, count in counts.items()})
        self._feed = feed

        def after(has_news: bool) -> None:
            self._wait_s = FIRST_WAIT_S
            if has_news:
                news()

        with (
            closing(store_at(settings.redis)) as store,
            self._scores() as publish,
        ):
            self._partitions = Partitions(
                self._bundles.newest(),
                store,
                self._receivers,
                cache_sources=settings.redis.cache_sources,
                cache_bytes=settings.redis.cache_bytes,
                counts=counts,
                bundles=self._bundles,
                after=after,
                told=self._told(spread),
                publish=publish,
                owed=self._owed,
                max_lines=settings.batch.max_lines,
                away_s=feed.session_timeout_s + TAKEN_OVER_S,
                keeping=Keeping(
                    settings.kafka.dead_letter_max_bytes,
                    routed_topic="" if settings.input.keyed else settings.kafka.routed_topic,
                ),
            )
            _log.info(
                "working",
                brokers=feed.connection.brokers,
                topics=feed.topics,
                group=feed.group,
                store=f"{found.server.name} {found.server.version}",
                bundle=self._bundles.newest().bundle.id,
            )
            try:
                yield self._partitions
            finally:
                self._partitions = None

    def _spread(self, nodes: Nodes) -> Spread:
        """What says where a source is on several partitions."""
        return Spread(
            nodes,
            self._settings.redis.key_prefix,
            warning=KEYED if self._settings.input.keyed else ROUTED,
            found=self._metrics.apart,
        )

    def _told(self, spread: Spread) -> Told:
        """Who learns of every commit."""
        counted = self._metrics.committed
        if not self._settings.input.keyed:
            return counted

        def told(committed: Committed) -> None:
            counted(committed)
            spread.note(committed)

        return told

    @contextmanager
    def _scores(self) -> Iterator[Callable[[Shard, Core, Sequence[ScoredEvent]], None]]:
        """What publishes scores, where they are wanted."""
        topic = self._settings.kafka.scores_topic
        if topic is None:
            yield lambda _shard, _core, _events: None
            return
        with closing(Sender(self._feed.connection)) as sender:
            yield Scores(sender, topic).publish

    @contextmanager
    def _routed(self, partitions: Partitions, spread: Spread) -> Iterator[Work]:
        """The work on all topics that are read: where they are not keyed, their lines are routed first."""
        if self._settings.input.keyed:
            yield partitions
            return
        routed_topic = self._settings.kafka.routed_topic
        with by_topic(self._bundles, self._feed, partitions, routed_topic, spread.see) as work:
            yield work

    @contextmanager
    def _watched(self, work: Work, after: Callable[[], None]) -> Iterator[Watched]:
        watched = Watched(work, self._health, self._metrics, after)
        try:
            yield watched
        finally:
            watched.end()
