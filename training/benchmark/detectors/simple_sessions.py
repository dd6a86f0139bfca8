"""The simple detectors over the sessions of one split, and the strangest of them as one more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from detector.bundle import Tail
from detector.stages.judge.budget import PER_SESSIONS
from training.benchmark.cost import NOTHING, Spent, Stopwatch
from training.benchmark.measures.sessions import Scored, Scores
from training.calibrate.calibrate import fit_tail
from training.evaluate.baselines import BASELINES, Baseline, Tokens, out_of_fold, threshold
from training.evaluate.edit import edit_distance

SIMPLE = (*BASELINES[:-1], Baseline("edit distance", edit_distance, edit_distance), BASELINES[-1])
UNION = "the strangest of all simple ones"


@dataclass(frozen=True, slots=True)
class _Fitted:
    name: str
    held_out: Scores  # of what it was fitted on, out of fold
    scores: Scores  # of the test
    train: Spent
    score: Spent


def simple(
    train: Sequence[Tokens], test: Sequence[Tokens], seed: int, contamination: float = 0.0
) -> Iterator[Scored]:
    """Every simple detector fitted on normal sessions, its threshold from them alone.

    Of a declared contamination each leaves out the sessions that it finds strangest, as the product does.
    """
    every = [_fitted(one, train, test, seed, contamination) for one in SIMPLE]
    yield from (_scored(one) for one in every)
    if contamination <= 0:  # else each was calibrated on other sessions
        yield _scored(_union(every[: len(SIMPLE) - 1]))


def _fitted(
    baseline: Baseline, train: Sequence[Tokens], test: Sequence[Tokens], seed: int, contamination: float
) -> _Fitted:
    watch = Stopwatch()
    if contamination > 0:
        strange = out_of_fold(baseline.detector, train, np.random.default_rng(seed))
        keep = len(train) - int(contamination * len(train))
        train = [train[i] for i in sorted(np.argsort(strange, kind="stable")[:keep].tolist())]
    held_out = out_of_fold(baseline.calibrated, train, np.random.default_rng(seed))
    score = baseline.detector(train)
    trained, watch = watch.spent(), Stopwatch()
    return _Fitted(baseline.name, held_out, score(test), trained, watch.spent())


def _scored(one: _Fitted) -> Scored:
    return Scored(
        detector=one.name,
        scores=one.scores,
        threshold=lambda budget: threshold(one.held_out, min(budget / PER_SESSIONS, 1.0)),
        train=one.train,
        score=one.score,
    )


def _union(every: Sequence[_Fitted]) -> _Fitted:
    """The largest of all scores, each as a tail probability of normal sessions held out."""
    tails = [fit_tail(one.held_out) for one in every]
    held_out = [_z(one.held_out, tail) for one, tail in zip(every, tails, strict=True)]
    scores = [_z(one.scores, tail) for one, tail in zip(every, tails, strict=True)]
    return _Fitted(
        UNION,
        np.max(held_out, axis=0),
        np.max(scores, axis=0),
        sum((one.train for one in every), NOTHING),
        sum((one.score for one in every), NOTHING),
    )


def _z(scores: Scores, tail: Tail) -> Scores:
    values, which = np.unique(scores, return_inverse=True)
    return np.array([tail.z(value) for value in values.tolist()])[which]
