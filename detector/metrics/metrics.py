"""Every metric, and what is counted when. No I/O but the clock; `docs/metrics.md` explains each.

The registry is this object's own. A label's values are few and known: never a source, a template or an alert.
"""

from collections.abc import Callable, Iterable
from itertools import product

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from detector.metrics.committed import Committed
from detector.metrics.rates import Expected, Share
from detector.metrics.reasons import REASONS, reason_of
from detector.stages.judge.alerts import ENDED_EARLY, NEW_TEMPLATE, SEQUENCE, SILENCE, SLOW

RULES = (SEQUENCE, NEW_TEMPLATE, ENDED_EARLY, SILENCE, SLOW)
SEVERITIES = ("critical", "error", "warning")
OUTCOMES = ("delivered", "failed", "slow-down", "gone", "given-up", "too-old")
TIMES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
AGES_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0)


class _Kind(msgspec.Struct):
    rule: str
    severity: str


_decode_kind = msgspec.json.Decoder(_Kind).decode


class Metrics:
    """What a process has done since its start; told of commits by one thread, of deliveries by another."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin at zero; the clock tells the wall's time in seconds."""
        self._clock = clock
        self._expected: Expected | None = None
        self._sources: dict[str, int] = {}
        self._unknown = Share()
        self._opened = self._allowed = 0.0
        # Of their own series that say when each counter began; the function has no types.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"tailrace_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"tailrace_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"tailrace_{name}", meaning, registry=registry, buckets=buckets)

        self._records = counter("records_total", "Records that were read and committed.", "result")
        self._dead_letters = counter("dead_letters_total", "What could not become lines.", "reason")
        self._events = counter("events_total", "Lines that are events.")
        self._late = counter("late_lines_total", "Lines so late that their life was over.")
        self._dropped = counter("dropped_lines_total", "Lines that name no source where one is needed.")
        self._apart = counter("spread_sources_total", "Looks at which a source was on several partitions.")
        self._commits = counter("commits_total", "Commits to the store.")
        self._score_s = histogram("score_duration_seconds", "Scoring and judging of a batch.", TIMES_S)
        self._commit_s = histogram("commit_duration_seconds", "Writing of a commit.", TIMES_S)
        self._lag_s = histogram("event_lag_seconds", "Age of a batch's first line at its commit.", AGES_S)
        self._alerts = counter("alerts_total", "Alerts that opened.", "rule", "severity")
        self._allowed_alerts = counter("expected_alerts_total", "False alerts that the budget allows so far.")
        self._budget = gauge("alert_budget", "False alerts a day, or per 10,000 sessions, that are accepted.")
        self._ratio = gauge("alert_budget_ratio", "Alerts that opened over alerts that were expected.")
        self._source_count = gauge("sources", "Sources with a state.")
        self._unknown_ratio = gauge("unknown_template_ratio", "Share of recent events without a template.")
        self._bundle = gauge("bundle_info", "1 for the bundle that is in use.", "version")
        self._deliveries = counter("deliveries_total", "Attempts to deliver.", "receiver", "outcome")
        self._waiting = gauge("deliveries_waiting", "Deliveries that wait for a receiver.", "receiver")
        self._dead = gauge("deliveries_dead", "Deliveries that were given up, and are kept.", "receiver")
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        """A series that begins with its first count hides it from rates."""
        for result in ("decoded", "rejected"):
            self._records.labels(result)
        for reason in REASONS:
            self._dead_letters.labels(reason)
        for kind in product(RULES, SEVERITIES):
            self._alerts.labels(*kind)
        self._unknown_ratio.set(self._unknown.add(0, 0))

    def uses(self, bundle: str, budget: float, *, session: bool) -> None:
        """Say which bundle and budget hold from now on."""
        self._bundle.clear()
        self._bundle.labels(bundle).set(1)
        self._budget.set(budget)
        self._expected = Expected(budget, session=session)

    def delivers_to(self, receivers: Iterable[str]) -> None:
        """Name the receivers before anything is delivered."""
        for name in product(receivers, OUTCOMES):
            self._deliveries.labels(*name)

    def committed(self, done: Committed) -> None:
        """Count what a commit has done."""
        self._count_input(done)
        self._count_alerts(done)
        self._commits.inc()
        self._score_s.observe(done.score_s)
        self._commit_s.observe(done.commit_s)
        if (first_us := done.first_us) is not None:
            self._lag_s.observe(max(0.0, self._clock() - first_us / 1e6))
        self._sources[done.shard] = done.sources
        self._source_count.set(sum(self._sources.values()))

    def _count_input(self, done: Committed) -> None:
        # One record can hold several logs, each of which may be put aside.
        rejected = len({(reject.origin, reject.offset) for reject in done.rejects})
        self._records.labels("decoded").inc(max(0, done.records - rejected))
        self._records.labels("rejected").inc(rejected)
        for reject in done.rejects:
            self._dead_letters.labels(reason_of(reject.reason)).inc()
        events, unknown = done.events()
        self._events.inc(events)
        self._unknown_ratio.set(self._unknown.add(unknown, events))
        self._late.inc(done.done.late)
        self._dropped.inc(done.done.dropped)

    def _count_alerts(self, done: Committed) -> None:
        for revision in done.done.revisions:
            if revision.revision == 1:
                kind = _decode_kind(revision.payload)
                self._alerts.labels(kind.rule, kind.severity).inc()
                self._opened += 1
        allowed = 0.0 if self._expected is None else self._expected.of(done)
        self._allowed += allowed
        self._allowed_alerts.inc(allowed)
        # Before one alert was to be expected, a ratio to the fraction of one would cry wolf.
        self._ratio.set(self._opened / max(1.0, self._allowed))

    def dropped(self, shard: str) -> None:
        """A shard is somebody else's from now on."""
        self._sources.pop(shard, None)
        self._source_count.set(sum(self._sources.values()))
        if self._expected is not None:
            self._expected.forget(shard)

    def apart(self) -> None:
        """A source was found on several partitions."""
        self._apart.inc()

    def delivered(self, receiver: str, outcome: str) -> None:
        """Count one attempt to deliver, or one delivery that was given up."""
        self._deliveries.labels(receiver, outcome).inc()

    def kept(self, receiver: str, *, waiting: int, dead: int) -> None:
        """Say how many deliveries wait for a receiver, and how many were given up."""
        self._waiting.labels(receiver).set(waiting)
        self._dead.labels(receiver).set(dead)

    def page(self) -> bytes:
        """Everything in the text format 0.0.4."""
        return generate_latest(self.registry)
