"""Alerts of services, by the product and by simple detectors, as who and when. Reads and writes files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from detector.bundle import InputSettings
from detector.records import Alert
from detector.shard.reader import Bounds
from training.benchmark.cost import Spent, Stopwatch
from training.benchmark.data.events import Events
from training.benchmark.detectors.fitted import Fitting, fitted
from training.benchmark.detectors.replayed import replayed
from training.benchmark.detectors.tailrace_sessions import TITLES
from training.benchmark.measures.notices import Notice
from training.corpus import Learnt, learn

SECOND_US = 1e6


@dataclass(frozen=True, slots=True)
class Told:
    """What a detector said of some files at one budget."""

    notices: list[Notice]
    lines: int
    spent: Spent


@dataclass(frozen=True, slots=True)
class Service:
    """A detector that has learnt from services, and judges files of theirs at a budget."""

    detector: str
    judge: Callable[[Sequence[str], float | None], Told]
    trained: Spent


def tailrace(paths: list[str], settings: InputSettings, bundle: Path, fitting: Fitting) -> Service:
    """The product itself."""
    trained = fitted(paths, settings, bundle, fitting)

    def judge(files: Sequence[str], budget: float | None) -> Told:
        found = replayed(bundle, files, budget)
        return Told([_notice(alert) for alert in found.opened], found.lines, found.spent)

    return Service(TITLES[fitting.cell], judge, trained)


def _notice(alert: Alert) -> Notice:
    at_s = 0.0 if alert.opened_at is None else datetime.fromisoformat(alert.opened_at).timestamp()
    strength = alert.score / alert.threshold if alert.threshold > 0 else alert.score
    return Notice(at_s, alert.source, strength, alert.rule)


def simple_services(paths: list[str], settings: InputSettings) -> Iterator[Service]:
    """What is new in its source, each time once; no budget changes that."""
    watch = Stopwatch()
    learnt = learn(paths, settings, Bounds(), _silent)
    trained = watch.spent()
    for n, name in ((1, "new event, once a source"), (2, "new 2-gram, once a source")):
        yield Service(name, _novelty(learnt, paths, n), trained)


def _novelty(learnt: Learnt, paths: Sequence[str], n: int) -> Callable[[Sequence[str], float | None], Told]:
    events = Events(learnt)
    known = {gram for gram, _, _ in _grams(events, paths, n)}

    def judge(files: Sequence[str], _budget: float | None) -> Told:
        watch, seen, notices, lines = Stopwatch(), set[tuple[str, tuple[int, ...]]](), list[Notice](), 0
        for gram, source, time_us in _grams(events, files, n):
            lines += 1
            if gram not in known and (source, gram) not in seen:
                seen.add((source, gram))
                notices.append(Notice((time_us or 0) / SECOND_US, source, 1.0))
        return Told(notices, lines, watch.spent())

    return judge


def _grams(events: Events, paths: Sequence[str], n: int) -> Iterator[tuple[tuple[int, ...], str, int | None]]:
    """The last n events of each source at each of its lines."""
    latest: dict[str, tuple[int, ...]] = {}
    for line, token in events.of(paths):
        gram = (*latest.get(line.source, ()), token)[-n:]
        latest[line.source] = gram
        yield gram, line.source, line.time_us


def _silent(_what: str, _size: int) -> None:
    """Nobody watches."""
