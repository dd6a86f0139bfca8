"""Simple detectors over a stream that does not end. Reads clocks and files.

What is new is flagged the first time only, since an unseen harmless message would else flag for ever; the
count vector judges windows of lines like sessions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from detector.shard.reader import Bounds
from detector.stages.judge.budget import DAY_EVENTS
from detector.stages.judge.judge import QUIET_EVENTS
from training.benchmark.cost import Spent, Stopwatch
from training.benchmark.data.description import Stream
from training.benchmark.data.events import Events
from training.benchmark.data.stream import Labelled
from training.benchmark.detectors.tailrace_stream import point
from training.benchmark.measures.incidents import Said
from training.benchmark.measures.windows import of_windows
from training.benchmark.table.results import OfStream, StreamPoint
from training.corpus import learn
from training.evaluate.baselines import Tokens, count_vector, out_of_fold, threshold

SHIPPED_BUDGET = 1.0  # false alerts a day

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flags:
    """A detector's score of every line [E], and the lines that it flags at a budget."""

    scores: Scores
    flagged: Callable[[float], npt.NDArray[np.int64]]


def simple_of_stream(
    described: Stream, train: Labelled, test: Labelled, budgets: Sequence[float | None]
) -> Iterator[OfStream]:
    """Every simple detector, on the lines as the product's own parser reads them."""
    known, judged = tokens_of_stream(described, train, test)
    detectors: list[tuple[str, Callable[[Tokens, Tokens], Flags]]] = [
        ("new event, once", partial(_novel, n=1)),
        ("new 2-gram, once", partial(_novel, n=2)),
        ("new 3-gram, once", partial(_novel, n=3)),
        ("new event, every time", _every_new),
        ("count vector of windows, idf", partial(_count_vector, window=described.window)),
    ]
    for name, detector in detectors:
        watch = Stopwatch()
        flags = detector(known, judged)
        yield of_flags(name, described, test, flags, budgets, watch.spent())


def of_flags(
    name: str,
    described: Stream,
    test: Labelled,
    flags: Flags,
    budgets: Sequence[float | None],
    spent: Spent,
) -> OfStream:
    """The measures of a detector that only flags; its alerts end after as many lines as the product's."""
    precision, best_f1 = of_windows(test.anomalous, flags.scores, described.window)
    points: list[StreamPoint] = []
    for budget in budgets:
        flagged = flags.flagged(SHIPPED_BUDGET if budget is None else budget)
        points.append(point(described, test, Said(flagged, openings(flagged)), budget))
    return OfStream(
        detector=name,
        points=points,
        average_precision=precision,
        best_f1=best_f1,
        train_s=0.0,  # counted with the scoring: most of it is the same pass
        train_cpu_s=0.0,
        score_s=spent.wall_s,
        score_cpu_s=spent.cpu_s,
        lines=len(test.anomalous),
    )


def tokens_of_stream(described: Stream, train: Labelled, test: Labelled) -> tuple[Tokens, Tokens]:
    """The token of every line of both parts, by what the first one taught; no event leaves it unknown.

    An event that matches no template has a token of its own by its pattern, from the vocabulary's end on.
    """
    events = Events(learn([str(train.path)], described.input, Bounds(), _silent))
    return _tokens(events, train), _tokens(events, test)


def _tokens(events: Events, part: Labelled) -> Tokens:
    tokens = np.zeros(len(part.offsets), np.int64)
    found = [(line.offset, token) for line, token in events.of([str(part.path)])]
    if found:
        offsets, values = np.array(found, np.int64).T
        tokens[part.places(offsets)] = values
    return tokens


def openings(flagged: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The flags that open an alert: those after as long a quiet as ends one."""
    return flagged[np.diff(flagged, prepend=-QUIET_EVENTS - 1) > QUIET_EVENTS]


def grams(tokens: Tokens, n: int, base: int) -> Tokens:
    """A number for the run of n events that ends at each event [E]; shorter at the beginning."""
    found = np.zeros(len(tokens), np.int64)
    for back in range(n):
        found[back:] += (tokens[: len(tokens) - back] + 1) * base**back
    return found


def _novel(train: Tokens, test: Tokens, *, n: int) -> Flags:
    base = 2 + int(max(train.max(initial=0), test.max(initial=0)))
    known, seen = np.unique(grams(train, n, base)), grams(test, n, base)
    _, first = np.unique(seen, return_index=True)
    new = np.sort(first[~np.isin(seen[first], known)])
    return _at(new, len(test))


def _every_new(train: Tokens, test: Tokens) -> Flags:
    return _at(np.flatnonzero(~np.isin(test, train)), len(test))


def _at(flagged: npt.NDArray[np.int64], size: int) -> Flags:
    scores = np.zeros(size)
    scores[flagged] = 1.0
    return Flags(scores, lambda _: flagged)


def _count_vector(train: Tokens, test: Tokens, *, window: int) -> Flags:
    detector = partial(count_vector, weighted=True)
    known, judged = _windows(train, window), _windows(test, window)
    held_out = out_of_fold(detector, known, np.random.default_rng(0))
    of_windows = detector(known)(judged)
    scores = np.repeat(of_windows, [len(one) for one in judged])
    ends = np.cumsum([len(one) for one in judged]) - 1

    def flagged(budget: float) -> npt.NDArray[np.int64]:
        limit = threshold(held_out, min(budget * window / DAY_EVENTS, 1.0))
        return np.asarray(ends[of_windows >= limit], np.int64)

    return Flags(scores, flagged)


def _windows(tokens: Tokens, size: int) -> list[Tokens]:
    return [tokens[at : at + size] for at in range(0, len(tokens), size)]


def _silent(_what: str, _size: int) -> None:
    """Nobody watches."""
