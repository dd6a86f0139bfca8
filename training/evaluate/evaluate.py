"""Compare a bundle's answers with labels, beside the simple detectors on the same sources. Reads files."""

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from detector.embedded.replay import Replay
from detector.errors import BadSetup
from detector.inputs.read import read_feed
from detector.shard.core import Core
from detector.stages.header import header as headers
from detector.stages.judge.budget import PER_SESSIONS
from training.corpus import Learnt, gather
from training.evaluate import metrics
from training.evaluate.baselines import BASELINES, Scores, Tokens, fit

ANOMALOUS = frozenset({"anomaly", "anomalous", "abnormal", "1", "true"})
NORMAL = frozenset({"normal", "0", "false"})
LABEL_COLUMNS = 2
OURS = "tailrace"


@dataclass(frozen=True, slots=True)
class Judged:
    """A detector's scores of sources that are normal [N] and anomalous [M] in truth, and its threshold."""

    detector: str
    normal: Scores
    anomalous: Scores
    threshold: float


@dataclass(frozen=True, slots=True)
class Result:
    """How good a detector's answers are."""

    detector: str
    normal: int
    anomalous: int
    threshold: float
    precision: float
    recall: float
    f1: float
    average_precision: float
    matthews: float
    false_positive_rate: float
    false_positive_rate_low: float  # 95 % interval (Wilson)
    false_positive_rate_high: float
    prevalence: float | None  # asked for; None: as in the labels
    f1_at_prevalence: float | None

    def plain(self) -> dict[str, object]:
        """The fields by name, numbers rounded for people."""
        return {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def result(judged: Judged, prevalence: float | None = None) -> Result:
    """Count what the threshold flags."""
    found = metrics.outcome(judged.normal, judged.anomalous, judged.threshold)
    low, high = metrics.wilson(int(found.false_positives), len(judged.normal))
    return Result(
        detector=judged.detector,
        normal=len(judged.normal),
        anomalous=len(judged.anomalous),
        threshold=judged.threshold,
        precision=found.precision,
        recall=found.recall,
        f1=found.f1,
        average_precision=metrics.average_precision(judged.normal, judged.anomalous, prevalence),
        matthews=found.matthews,
        false_positive_rate=found.false_positive_rate,
        false_positive_rate_low=low,
        false_positive_rate_high=high,
        prevalence=prevalence,
        f1_at_prevalence=None if prevalence is None else found.at(prevalence).f1,
    )


def read_labels(path: Path) -> dict[str, bool]:
    """Whether each source is anomalous, from rows of source and label; a header may come first.

    Raises:
        BadSetup: the file cannot be read, or a row is something else; names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return dict(_labels(path, csv.reader(file)))
    except OSError as error:
        raise BadSetup(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadSetup(f"{path} is no CSV file in UTF-8: {error}") from error


def _labels(path: Path, rows: Iterator[list[str]]) -> Iterator[tuple[str, bool]]:
    for number, row in enumerate(rows, 1):
        if not row:
            continue
        word = row[1].strip().lower() if len(row) >= LABEL_COLUMNS else ""
        if word in ANOMALOUS or word in NORMAL:
            yield row[0].strip(), word in ANOMALOUS
        elif number > 1:
            raise BadSetup(
                f"{path}:{number}: {','.join(row)!r} is no `source,label`; "
                f"a label is one of {', '.join(sorted(ANOMALOUS | NORMAL))}"
            )


def replayed(core: Core, paths: Sequence[str]) -> dict[str, float]:
    """The score of every source that a replay closes; of several lives the highest."""
    bound = core.rules.bounds.max_line_bytes
    feeds = {feed.origin: read_feed(feed, max_line_bytes=bound) for feed in core.feeds(paths)}
    scores: dict[str, float] = {}
    for step in Replay(core).steps(feeds):
        for closed in step.done.closed:
            scores[closed.source] = max(closed.score, scores.get(closed.source, closed.score))
    return scores


def judged(
    scores: Mapping[str, float], labels: Mapping[str, bool], detector: str, threshold: float
) -> Judged:
    """Part the scores of labelled sources by their labels."""
    normal = [score for source, score in scores.items() if labels.get(source) is False]
    anomalous = [score for source, score in scores.items() if labels.get(source) is True]
    return Judged(detector, np.array(normal, np.float64), np.array(anomalous, np.float64), threshold)


def baselines(
    train: Sequence[Tokens],
    normal: Sequence[Tokens],
    anomalous: Sequence[Tokens],
    *,
    budget: float,
    seed: int = 0,
) -> Iterator[Judged]:
    """Every simple detector fitted on normal sessions, its threshold from them alone at the same budget."""
    for baseline in BASELINES:
        rng = np.random.default_rng(seed)
        score, threshold = fit(baseline, train, share=min(budget / PER_SESSIONS, 1.0), rng=rng)
        yield Judged(baseline.name, score(normal), score(anomalous), threshold)


def token_sessions(core: Core, paths: Sequence[str]) -> dict[str, Tokens]:
    """What each source's lines are to the bundle, whole: the input of the simple detectors."""
    templates = core.bundle.templates
    learnt = Learnt(core.input, headers.from_json(templates["headers"]), core.parser.vocabulary)
    with tempfile.TemporaryDirectory(prefix="tailrace-") as folder:
        corpus = gather(paths, learnt, core.rules.bounds, Path(folder), _silent, whole=True)
        grouped = corpus.grouped
        return {
            source: grouped.of(number)["token"].astype(np.int64)
            for number, source in enumerate(corpus.sources)
        }


def _silent(_what: str, _size: int) -> None:
    """Nobody watches."""
