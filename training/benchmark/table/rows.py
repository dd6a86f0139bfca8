"""What the table says: the seeds of each data set, variant, detector and budget taken together. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from msgspec import Struct

from detector.stages.judge.budget import PER_SESSIONS
from training.benchmark.data.description import Folds, Named, Sequences, Sessions
from training.benchmark.measures.sessions import scaled
from training.benchmark.table.results import (
    FaultPoint,
    Interval,
    Kept,
    OfFaults,
    OfRuns,
    OfSessions,
    OfStream,
    Point,
    Result,
)
from training.evaluate.metrics import Outcome

Pair = tuple[float, float]


class SessionRow(Struct, frozen=True, kw_only=True, tag_field="kind", tag="sessions"):
    """Sessions at one budget; means over the seeds unless it says otherwise."""

    data_set: str
    variant: str
    detector: str
    budget: float
    f1: float
    f1_seeds: list[float]
    f1_pooled: float  # of the rates of all seeds together
    precision: float
    recall: float
    recall_seeds: list[float]
    matthews: float
    average_precision: float
    best_f1: float
    per_10000: Interval  # false alerts per 10,000 normal sessions, of all seeds together
    per_million_lines: Interval
    per_day: Interval | None
    false_positives: int  # of all seeds together
    normals: int
    f1_alerts: float | None
    lines_to_detection: Pair | None
    train_cpu_s: float
    score_cpu_s: float
    unknown: float | None
    warning: str


class StreamRow(Struct, frozen=True, kw_only=True, tag_field="kind", tag="stream"):
    """A part of a stream at one budget; means over the seeds."""

    data_set: str
    detector: str
    budget: float | None
    part: str
    incidents: int
    found: float
    found_seeds: list[float]
    outside_per_million: Interval
    outside_seeds: list[float]
    clear_false_per_million: Interval
    busy: float
    lines_to_detection: Pair | None
    average_precision: float  # these of windows of lines, of all parts
    best_f1: float
    f1: float
    matthews: float
    train_cpu_s: float
    score_cpu_s: float


class FaultRow(Struct, frozen=True, kw_only=True, tag_field="kind", tag="faults"):
    """Injected faults at one budget; means over the seeds."""

    data_set: str
    detector: str
    budget: float | None
    faults: int
    found: float
    named: float
    named_first: float
    named_strongest: float
    by_type: dict[str, tuple[float, float, float]]  # faults, found, named
    alerts_per_hour: float
    by_rule: dict[str, tuple[float, float]]  # of the product: alerts, and false ones
    false_per_hour: Interval
    seconds_to_detection: float | None
    lines_to_detection: float | None
    train_cpu_s: float
    score_cpu_s: float


class RunRow(Struct, frozen=True, kw_only=True, tag_field="kind", tag="runs"):
    """Runs of a system at one budget; means over the seeds."""

    data_set: str
    detector: str
    budget: float | None
    alerts: list[dict[str, int]]  # of each run, seed by seed
    normal_per_10000: Interval  # alerts, of so many lines
    faulty_per_10000: Interval
    separated: float  # share of the seeds in which every faulty run has more alerts a line
    train_cpu_s: float
    score_cpu_s: float


Row = SessionRow | StreamRow | FaultRow | RunRow


def rows(found: Iterable[Kept], named: Sequence[Named]) -> Iterator[Row]:
    """Every row, in the order in which the results came."""
    groups: defaultdict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for kept in found:
        for result in kept.results:
            groups[kept.data_set, kept.variant, result.detector].append(result)
    folds = {one.name: _folds(one) for one in named}
    for (data_set, variant, _), same in groups.items():
        of_sessions = [one for one in same if isinstance(one, OfSessions)]
        of_stream = [one for one in same if isinstance(one, OfStream)]
        if of_sessions:
            disjoint = len(of_sessions) <= folds.get(data_set, 0)
            yield from _session_rows(data_set, variant, of_sessions, disjoint=disjoint)
        if of_stream:
            yield from _stream_rows(data_set, of_stream)
        yield from _fault_rows(data_set, [one for one in same if isinstance(one, OfFaults)])
        yield from _run_rows(data_set, [one for one in same if isinstance(one, OfRuns)])


def _folds(named: Named) -> int:
    """How many seeds judge normal sessions that no other seed judges."""
    described = named.description
    if isinstance(described, Sequences | Sessions) and isinstance(described.split, Folds):
        return described.split.folds
    return 1


def _session_rows(
    data_set: str, variant: str, same: Sequence[OfSessions], *, disjoint: bool
) -> Iterator[SessionRow]:
    for number, first in enumerate(same[0].points):
        points = [one.points[number] for one in same]
        false, normals = _together(points, same, disjoint=disjoint)
        per_10000 = scaled(false, normals, PER_SESSIONS)
        days = [one.per_day for one in points if one.per_day is not None]
        yield SessionRow(
            data_set=data_set,
            variant=variant,
            detector=same[0].detector,
            budget=first.budget,
            f1=fmean(one.f1 for one in points),
            f1_seeds=[one.f1 for one in points],
            f1_pooled=_pooled_f1(points, false / max(normals, 1), same[0].prevalence),
            precision=fmean(one.precision for one in points),
            recall=fmean(one.recall for one in points),
            recall_seeds=[one.recall for one in points],
            matthews=fmean(one.matthews for one in points),
            average_precision=fmean(one.average_precision for one in same),
            best_f1=fmean(one.best_f1 for one in same),
            per_10000=per_10000,
            per_million_lines=_mean([one.per_million_lines for one in points]),
            per_day=_mean(days) if days else None,
            false_positives=false,
            normals=normals,
            f1_alerts=_mean_of(one.f1_alerts for one in points),
            lines_to_detection=_mean_pair(one.lines_to_detection for one in points),
            train_cpu_s=fmean(one.train_cpu_s for one in same),
            score_cpu_s=fmean(one.score_cpu_s for one in same),
            unknown=_mean_of(one.unknown for one in same),
            warning=next((one.warning for one in same if one.warning), ""),
        )


def _together(points: Sequence[Point], same: Sequence[OfSessions], *, disjoint: bool) -> tuple[int, int]:
    """False alerts and normals of all seeds; where they judged the same ones, of one seed on average."""
    false, normals = sum(one.false_positives for one in points), sum(one.normal for one in same)
    return (false, normals) if disjoint else (round(false / len(points)), round(normals / len(points)))


def _pooled_f1(points: Sequence[Point], false_positive_rate: float, prevalence: float) -> float:
    recall = fmean(one.recall for one in points)
    return Outcome(recall, false_positive_rate, 1 - recall, 1 - false_positive_rate).at(prevalence).f1


def _stream_rows(data_set: str, same: Sequence[OfStream]) -> Iterator[StreamRow]:
    for number, first in enumerate(same[0].points):
        points = [one.points[number] for one in same]
        for at, part in enumerate(first.parts):
            parts = [one.parts[at] for one in points]
            yield StreamRow(
                data_set=data_set,
                detector=same[0].detector,
                budget=first.budget,
                part=part.part,
                incidents=part.incidents,
                found=fmean(one.found for one in parts),
                found_seeds=[one.found for one in parts],
                outside_per_million=_mean([one.outside for one in parts]),
                outside_seeds=[one.outside.rate for one in parts],
                clear_false_per_million=_mean([one.clear_false for one in parts]),
                busy=fmean(one.busy for one in parts),
                lines_to_detection=_mean_pair(one.lines_to_detection for one in parts),
                average_precision=fmean(one.average_precision for one in same),
                best_f1=fmean(one.best_f1 for one in same),
                f1=fmean(one.f1 for one in points),
                matthews=fmean(one.matthews for one in points),
                train_cpu_s=fmean(one.train_cpu_s for one in same),
                score_cpu_s=fmean(one.score_cpu_s for one in same),
            )


def _fault_rows(data_set: str, same: Sequence[OfFaults]) -> Iterator[FaultRow]:
    for number, first in enumerate(same[0].points if same else ()):
        points = [one.points[number] for one in same]
        kinds = {kind: [one.by_type[kind] for one in points] for kind in first.by_type}
        yield FaultRow(
            data_set=data_set,
            detector=same[0].detector,
            budget=first.budget,
            faults=first.faults,
            found=fmean(one.found for one in points),
            named=fmean(one.named for one in points),
            named_first=fmean(one.named_first for one in points),
            named_strongest=fmean(one.named_strongest for one in points),
            by_type={
                kind: (fmean(a for a, _, _ in of), fmean(b for _, b, _ in of), fmean(c for _, _, c in of))
                for kind, of in kinds.items()
            },
            by_rule=_rules(points),
            alerts_per_hour=fmean(one.alerts_per_hour for one in points),
            false_per_hour=_mean([one.false_per_hour for one in points]),
            seconds_to_detection=_mean_of(one.seconds_to_detection for one in points),
            lines_to_detection=_mean_of(one.lines_to_detection for one in points),
            train_cpu_s=fmean(one.train_cpu_s for one in same),
            score_cpu_s=fmean(one.score_cpu_s for one in same),
        )


def _rules(points: Sequence[FaultPoint]) -> dict[str, tuple[float, float]]:
    rules = sorted({rule for one in points for rule in one.by_rule})
    counts = {rule: [one.by_rule.get(rule, (0, 0)) for one in points] for rule in rules}
    return {rule: (fmean(a for a, _ in of), fmean(b for _, b in of)) for rule, of in counts.items()}


def _run_rows(data_set: str, same: Sequence[OfRuns]) -> Iterator[RunRow]:
    for number, first in enumerate(same[0].points if same else ()):
        points = [one.points[number] for one in same]
        yield RunRow(
            data_set=data_set,
            detector=same[0].detector,
            budget=first.budget,
            alerts=[one.alerts for one in points],
            normal_per_10000=_mean([one.normal_per_10000 for one in points]),
            faulty_per_10000=_mean([one.faulty_per_10000 for one in points]),
            separated=fmean(one.separated for one in points),
            train_cpu_s=fmean(one.train_cpu_s for one in same),
            score_cpu_s=fmean(one.score_cpu_s for one in same),
        )


def _mean(intervals: Sequence[Interval]) -> Interval:
    """Means of rates over the same data: the interval is no narrower than that of one seed."""
    return Interval(
        fmean(one.rate for one in intervals),
        fmean(one.low for one in intervals),
        fmean(one.high for one in intervals),
    )


def _mean_of(values: Iterable[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return fmean(known) if known else None


def _mean_pair(pairs: Iterable[Pair | None]) -> Pair | None:
    known = [one for one in pairs if one is not None]
    return (fmean(one for one, _ in known), fmean(one for _, one in known)) if known else None
