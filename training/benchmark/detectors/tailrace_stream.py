"""Tailrace over a stream that does not end. Reads and writes files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.benchmark.data.description import Stream
from training.benchmark.data.stream import Labelled
from training.benchmark.detectors.fitted import Fitting, fitted
from training.benchmark.detectors.replayed import Replayed, offset_of, replayed
from training.benchmark.detectors.tailrace_sessions import TITLES
from training.benchmark.measures.incidents import Said, parts
from training.benchmark.measures.windows import flagged_windows, of_windows
from training.benchmark.table.results import OfStream, StreamPoint


def of_stream(
    described: Stream,
    train: Labelled,
    test: Labelled,
    bundle: Path,
    fitting: Fitting,
    budgets: Sequence[float | None],
) -> OfStream:
    """Fit on the first part, and replay the rest at every budget; none is the one that is shipped."""
    trained = fitted([str(train.path)], described.input, bundle, fitting)
    runs = [(budget, replayed(bundle, [str(test.path)], budget, events=True)) for budget in budgets]
    first = runs[0][1]
    scores = np.zeros(len(test.anomalous))
    np.maximum.at(scores, test.places(first.events.offsets), first.events.scores)
    precision, best_f1 = of_windows(test.anomalous, scores, described.window)
    return OfStream(
        detector=TITLES[fitting.cell],
        points=[point(described, test, said(test, run), budget) for budget, run in runs],
        average_precision=precision,
        best_f1=best_f1,
        train_s=trained.wall_s,
        train_cpu_s=trained.cpu_s,
        score_s=first.spent.wall_s,
        score_cpu_s=first.spent.cpu_s,
        lines=first.lines,
    )


def said(test: Labelled, run: Replayed) -> Said:
    """The lines that are strange or open an alert, and those at which alerts opened."""
    opened = np.array([offset_of(alert.position) for alert in run.opened], np.int64)
    flagged = np.append(run.events.offsets[run.events.flagged], opened)
    return Said(np.unique(test.places(flagged)), np.sort(test.places(opened)))


def point(described: Stream, test: Labelled, found: Said, budget: float | None) -> StreamPoint:
    """The measures of what was said at one budget."""
    of_flags = flagged_windows(test.anomalous, found.flagged, described.window)
    return StreamPoint(
        budget=budget,
        parts=parts(test.anomalous, found),
        precision=of_flags.precision,
        recall=of_flags.recall,
        f1=of_flags.f1,
        matthews=of_flags.matthews,
    )
