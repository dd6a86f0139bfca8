"""Tailrace itself over the sessions of one split: fitted, replayed, and what it said when. Files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.bundle import InputSettings, load
from detector.records import Alert
from detector.stages.judge.budget import score_threshold
from training.benchmark.cost import Spent
from training.benchmark.data.prepared import Prepared
from training.benchmark.data.tokens import Offsets
from training.benchmark.detectors.fitted import Fitting, fitted
from training.benchmark.detectors.replayed import Replayed, replayed
from training.benchmark.measures.sessions import Alerted, Scored, Scores

NO_LIFE = -1.0  # scores are sums of z, which are not negative
TITLES = {
    "gru": "tailrace",
    "lstm": "tailrace, lstm",
    "rnn": "tailrace, rnn",
    "reader": "tailrace, second reader",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One split as files, and what is asked."""

    train: Prepared
    test: Prepared
    settings: InputSettings
    offsets: Sequence[Offsets]  # of each session's events in its file; ready sequences have places instead
    bundle: Path
    fitting: Fitting
    budgets: Sequence[float]


def scored(job: Job) -> Scored:
    """Fit where it is not fitted yet, and replay at every budget: events alert before the end by it, too."""
    return judged(job, trained(job), TITLES["reader" if job.fitting.second_reader else job.fitting.cell])


def trained(job: Job) -> Spent:
    """Fit where it is not fitted yet, and say what that took."""
    return fitted(job.train.paths, job.settings, job.bundle, job.fitting)


def judged(job: Job, train: Spent, title: str) -> Scored:
    """Replay with a bundle that is there."""
    calibration = load(job.bundle).calibration
    of_budget = {budget: replayed(job.bundle, job.test.paths, budget) for budget in job.budgets}
    first = of_budget[job.budgets[0]]
    return Scored(
        detector=title,
        scores=_scores(first, job.test.session_of, len(job.offsets)),
        threshold=lambda budget: score_threshold(calibration, budget),
        train=train,
        score=first.spent,
        alerted=lambda budget: _alerted(job, of_budget[budget]),
        unknown=first.unknown,
        warning=first.warning,
    )


def _scores(found: Replayed, session_of: Mapping[str, int], sessions: int) -> Scores:
    """The score of each session; of several lives the highest, and below every score without a life."""
    scores = np.full(sessions, NO_LIFE)
    for closed in found.closed:
        session = session_of[closed.source]
        scores[session] = max(scores[session], closed.score)
    return scores


def _alerted(job: Job, found: Replayed) -> Alerted:
    """Which sessions raised any alert, and after how many of their lines the first one came."""
    after = np.full(len(job.offsets), np.inf)
    threshold = {closed.source: closed.threshold for closed in found.closed}
    for alert in found.opened:
        session = job.test.session_of[alert.source]
        at_end = alert.threshold == round(threshold[alert.source], 4)
        lines = len(job.offsets[session]) if at_end else _line_of(alert, job.offsets[session])
        after[session] = min(after[session], lines)
    return Alerted(np.isfinite(after), after)


def _line_of(alert: Alert, offsets: Offsets) -> int:
    """The number of an alert's event in its session, from 1."""
    offset, _, place = alert.position.partition(":")
    if place:
        return int(place) + 1
    return int(np.searchsorted(offsets, int(offset), side="right"))
