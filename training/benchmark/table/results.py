"""What one run of one detector comes to, and its file: what is there is not run again. Files."""

from pathlib import Path

import msgspec
from msgspec import Struct

SCHEMA = "tailrace.benchmark/1"


class Interval(Struct, frozen=True):
    """A rate with its 95 % interval (Wilson)."""

    rate: float
    low: float
    high: float


class Point(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What sessions come to at one budget; the threshold comes from what was trained on, alone."""

    budget: float  # false alerts per 10,000 sessions
    threshold: float
    precision: float  # these four at the population's prevalence, where the description names one
    recall: float
    f1: float
    matthews: float
    false_positives: int
    per_10000: Interval  # false alerts per 10,000 normal sessions
    per_million_lines: Interval
    per_day: Interval | None = None  # where lines have times
    lines_to_detection: tuple[float, float] | None = None  # median and 9th decile, of those found
    # Whatever alert a session raised, also before its end; only where that can differ.
    f1_alerts: float | None = None
    false_alerted: int | None = None


class OfSessions(Struct, frozen=True, kw_only=True, tag_field="kind", tag="sessions"):
    """How a detector judged sessions."""

    detector: str
    normal: int
    anomalous: int
    prevalence: float  # that the measures are for
    average_precision: float
    best_f1: float  # at the threshold that suits the test best: not to be had in practice
    best_threshold: float
    points: list[Point]
    curve: list[tuple[float, float]]  # recall, precision
    rates: list[tuple[float, float, float, float]]  # budget, seen, low, high: per 10,000 normal sessions
    train_s: float
    train_cpu_s: float
    score_s: float
    score_cpu_s: float
    lines: int  # scored
    unknown: float | None = None  # share of the events that match no template
    warning: str = ""  # what the replay said of the lines as a whole


class Part(Struct, frozen=True, kw_only=True):
    """A stretch of a stream, judged by incidents (maximal runs of anomalous lines)."""

    part: str  # all | first half | second half
    incidents: int
    found: float  # share of the incidents flagged within their first lines
    alerts: int
    outside: Interval  # alerts opened outside incidents, a million lines outside
    clear_false: Interval  # those far from any, a million lines far from any
    busy: float  # share of the lines outside that have a flag soon after: the chance level of `found`
    lines_to_detection: tuple[float, float] | None  # median and 9th decile, of those found


class StreamPoint(Struct, frozen=True, kw_only=True):
    """A stream at one budget; none is the one that is shipped."""

    budget: float | None
    parts: list[Part]
    precision: float  # of windows of lines, like the next two
    recall: float
    f1: float
    matthews: float


class OfStream(Struct, frozen=True, kw_only=True, tag_field="kind", tag="stream"):
    """How a detector judged a long stream."""

    detector: str
    points: list[StreamPoint]
    average_precision: float  # of windows of lines by their highest score
    best_f1: float
    train_s: float
    train_cpu_s: float
    score_s: float
    score_cpu_s: float
    lines: int


class FaultPoint(Struct, frozen=True, kw_only=True):
    """Injected faults at one budget."""

    budget: float | None
    faults: int
    found: int  # with an alert in the window
    named: int  # with an alert of the right source
    named_first: int  # whose first alert is of the right source
    named_strongest: int  # whose strongest alert is
    by_type: dict[str, tuple[int, int, int]]  # faults, found, named
    alerts: int
    alerts_per_hour: float
    false: int  # alerts that no fault explains
    by_rule: dict[str, tuple[int, int]]  # of the product: alerts, and false ones
    false_per_hour: Interval
    hours: float
    seconds_to_detection: float | None  # median of the named
    lines_to_detection: float | None


class OfFaults(Struct, frozen=True, kw_only=True, tag_field="kind", tag="faults"):
    """How a detector judged services with injected faults."""

    detector: str
    points: list[FaultPoint]
    train_s: float
    train_cpu_s: float
    score_s: float
    score_cpu_s: float
    lines: int


class RunPoint(Struct, frozen=True, kw_only=True):
    """Runs of a system at one budget."""

    budget: float | None
    alerts: dict[str, int]  # of each run
    normal_per_10000: Interval  # alerts a 10,000 lines
    faulty_per_10000: Interval
    separated: bool  # every faulty run has more alerts a line than every normal one


class OfRuns(Struct, frozen=True, kw_only=True, tag_field="kind", tag="runs"):
    """How a detector judged runs of a system."""

    detector: str
    points: list[RunPoint]
    train_s: float
    train_cpu_s: float
    score_s: float
    score_cpu_s: float
    lines: int


Result = OfSessions | OfStream | OfFaults | OfRuns


class Kept(Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The file of one run."""

    identity: str  # of everything that the results depend on
    data_set: str
    variant: str
    seed: int
    results: list[Result]
    schema_: str = SCHEMA


def path_of(out: Path, data_set: str, variant: str, seed: int, detector: str) -> Path:
    """Where the results of a run lie."""
    return out / "results" / data_set / variant / f"seed-{seed}" / f"{detector}.json"


def kept(path: Path, identity: str) -> Kept | None:
    """The results of an earlier run of the same thing, if there are any."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Kept)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # a run that was killed as it wrote, or results of another form: measure again
    return found if found.identity == identity and found.schema_ == SCHEMA else None


def keep(path: Path, found: Kept) -> None:
    """Write the results in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    part.replace(path)
