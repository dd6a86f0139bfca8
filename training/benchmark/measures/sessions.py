"""From scores of sessions to measures at budgets, and curves. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.stages.judge.budget import PER_SESSIONS
from training.benchmark.cost import Spent
from training.benchmark.table.results import Interval, OfSessions, Point
from training.evaluate.metrics import Outcome, average_precision, outcome, wilson

MILLION = 1_000_000
CURVE_POINTS = 200
LOWEST = -1e300  # a threshold that everything reaches, as JSON can hold it
RATE_BUDGETS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)

Scores = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Alerted:
    """What a detector that speaks before the end of a session said of sessions [N] at one budget."""

    alerted: Mask
    after_lines: Scores  # lines of the session up to its first alert; infinite without one


@dataclass(frozen=True, slots=True)
class Scored:
    """A detector's scores of the test's sessions [N], and its threshold for a budget."""

    detector: str
    scores: Scores
    threshold: Callable[[float], float]
    train: Spent
    score: Spent
    alerted: Callable[[float], Alerted] | None = None  # by budget
    unknown: float | None = None  # share of the events that match no template
    warning: str = ""  # of the replay


@dataclass(frozen=True, slots=True)
class Truth:
    """The test's sessions [N] as they are."""

    anomalous: Mask
    lengths: npt.NDArray[np.int64]  # lines
    days: float
    prevalence: float | None


def measured(scored: Scored, truth: Truth, budgets: Sequence[float]) -> OfSessions:
    """Everything that the table says of one detector."""
    normal, anomalous = scored.scores[~truth.anomalous], scored.scores[truth.anomalous]
    best_f1, best_threshold = best(normal, anomalous, truth.prevalence)
    return OfSessions(
        detector=scored.detector,
        normal=len(normal),
        anomalous=len(anomalous),
        prevalence=truth.prevalence or len(anomalous) / max(len(truth.anomalous), 1),
        average_precision=average_precision(normal, anomalous, truth.prevalence),
        best_f1=best_f1,
        best_threshold=best_threshold,
        points=[_point(scored, truth, budget) for budget in budgets],
        curve=curve(normal, anomalous, truth.prevalence),
        rates=[_rate(normal, scored.threshold(budget), budget) for budget in RATE_BUDGETS],
        train_s=scored.train.wall_s,
        train_cpu_s=scored.train.cpu_s,
        score_s=scored.score.wall_s,
        score_cpu_s=scored.score.cpu_s,
        lines=int(truth.lengths.sum()),
        unknown=scored.unknown,
        warning=scored.warning,
    )


def _point(scored: Scored, truth: Truth, budget: float) -> Point:
    threshold = max(scored.threshold(budget), LOWEST)
    flagged = scored.scores >= threshold
    said = None if scored.alerted is None else scored.alerted(budget)
    found, false = _outcome(flagged, truth), int(flagged[~truth.anomalous].sum())
    normals, lines = int((~truth.anomalous).sum()), int(truth.lengths[~truth.anomalous].sum())
    after = truth.lengths.astype(np.float64) if said is None else said.after_lines
    hit = truth.anomalous & (flagged if said is None else said.alerted)
    return Point(
        budget=budget,
        threshold=threshold,
        precision=found.precision,
        recall=found.recall,
        f1=found.f1,
        matthews=found.matthews,
        false_positives=false,
        per_10000=scaled(false, normals, PER_SESSIONS),
        per_million_lines=scaled(false, normals, MILLION * normals / max(lines, 1)),
        per_day=scaled(false, normals, normals / truth.days) if truth.days > 0 else None,
        lines_to_detection=spread(after[hit]),
        f1_alerts=None if said is None else _outcome(said.alerted, truth).f1,
        false_alerted=None if said is None else int(said.alerted[~truth.anomalous].sum()),
    )


def _outcome(flagged: Mask, truth: Truth) -> Outcome:
    counted = outcome(
        flagged[~truth.anomalous].astype(np.float64), flagged[truth.anomalous].astype(np.float64), 0.5
    )
    return counted if truth.prevalence is None else counted.at(truth.prevalence)


def scaled(hits: int, trials: int, by: float) -> Interval:
    """A share with its interval, times something."""
    low, high = wilson(hits, trials)
    return Interval(by * hits / trials if trials else 0.0, by * low, by * high)


def spread(values: Scores) -> tuple[float, float] | None:
    """Median and ninth decile, where there are values."""
    if not len(values):
        return None
    median, ninth = np.quantile(values, (0.5, 0.9)).tolist()
    return median, ninth


def _rate(normal: Scores, threshold: float, budget: float) -> tuple[float, float, float, float]:
    seen = scaled(int((normal >= threshold).sum()), len(normal), PER_SESSIONS)
    return budget, seen.rate, seen.low, seen.high


def _rates(
    normal: Scores, anomalous: Scores, prevalence: float | None
) -> tuple[Scores, Scores, Scores, Scores]:
    """Thresholds, descending, with recall, precision and F1 at each."""
    share = len(anomalous) / max(len(anomalous) + len(normal), 1) if prevalence is None else prevalence
    thresholds = np.unique(np.concatenate([normal, anomalous]))[::-1]
    recall, false = _share_at_least(anomalous, thresholds), _share_at_least(normal, thresholds)
    hits, flagged = share * recall, share * recall + (1 - share) * false
    precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
    f1 = np.divide(2 * hits, flagged + share, out=np.zeros_like(hits), where=flagged + share > 0)
    return thresholds, recall, precision, f1


def _share_at_least(scores: Scores, thresholds: Scores) -> Scores:
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray((len(scores) - below) / max(len(scores), 1), np.float64)


def best(normal: Scores, anomalous: Scores, prevalence: float | None) -> tuple[float, float]:
    """The highest F1 of all thresholds, and that threshold."""
    thresholds, _, _, f1 = _rates(normal, anomalous, prevalence)
    if not len(thresholds):
        return 0.0, 0.0
    at = int(np.argmax(f1))
    return float(f1[at]), float(thresholds[at])


def curve(normal: Scores, anomalous: Scores, prevalence: float | None) -> list[tuple[float, float]]:
    """Recall and precision of thresholds from the strictest on, thinned to what a plot shows."""
    _, recall, precision, _ = _rates(normal, anomalous, prevalence)
    few = np.unique(np.linspace(0, max(len(recall) - 1, 0), CURVE_POINTS).astype(int))
    if not len(recall):
        return []
    return [(round(float(recall[i]), 5), round(float(precision[i]), 5)) for i in few]
