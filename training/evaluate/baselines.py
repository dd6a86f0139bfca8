"""Simple detectors that a model has to beat, and thresholds from normal sessions alone. Pure.

Each detector is a function: it takes normal sessions and gives a function that scores others,
higher for stranger. They are those of Landauer, Skopik and Wurzenberger (2024), "A Critical
Review of Common Log Data Sets Used for Evaluation of Sequence-based Anomaly Detection
Techniques", with scores in place of yes and no.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.integer]  # one session
Scores = npt.NDArray[np.float64]  # one a session
Score = Callable[[Sequence[Tokens]], Scores]
Detector = Callable[[Sequence[Tokens]], Score]

FOLDS = 4
BORDER = 0  # stands before the first and after the last event


@dataclass(frozen=True, slots=True)
class _Flat:
    """Sessions laid end to end."""

    tokens: npt.NDArray[np.int64]  # [E]
    owner: npt.NDArray[np.int64]  # [E] index of the session
    lengths: npt.NDArray[np.int64]  # [N]

    def count(self, chosen: npt.NDArray[np.bool_]) -> Scores:
        """How many events of each session are chosen [E]: [N]."""
        return _count(self.owner, chosen, len(self.lengths))


def _count(owner: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_], sessions: int) -> Scores:
    return np.bincount(owner[chosen], minlength=sessions).astype(np.float64)


def _flat(sessions: Sequence[Tokens]) -> _Flat:
    lengths = np.array([len(session) for session in sessions], np.int64)
    tokens = np.concatenate([np.empty(0, np.int64), *sessions]).astype(np.int64)
    return _Flat(tokens, np.repeat(np.arange(len(lengths)), lengths), lengths)


def new_event(normal: Sequence[Tokens]) -> Score:
    """Score by the number of events whose type the normal sessions do not hold."""
    known = np.unique(_flat(normal).tokens)

    def score(sessions: Sequence[Tokens]) -> Scores:
        flat = _flat(sessions)
        return flat.count(~np.isin(flat.tokens, known))

    return score


def length(normal: Sequence[Tokens]) -> Score:
    """Score by how far the length lies outside the normal range, as the logarithm of the ratio."""
    lengths = np.log1p(_flat(normal).lengths)
    low, high = lengths.min(initial=np.inf), lengths.max(initial=0.0)

    def score(sessions: Sequence[Tokens]) -> Scores:
        seen = np.log1p(_flat(sessions).lengths)
        outside: Scores = np.maximum(0.0, np.maximum(low - seen, seen - high))
        return outside

    return score


def new_ngram(normal: Sequence[Tokens], *, n: int) -> Score:
    """Score by the number of runs of n events, borders included, that the normal sessions do not hold.

    Forrest et al. (1996), "A Sense of Self for Unix Processes".
    """
    types = np.unique(_flat(normal).tokens)
    known = np.unique(_ngrams(normal, types, n)[0])

    def score(sessions: Sequence[Tokens]) -> Scores:
        grams, owner = _ngrams(sessions, types, n)
        return _count(owner, ~np.isin(grams, known), len(sessions))

    return score


def _ngrams(
    sessions: Sequence[Tokens], types: npt.NDArray[np.int64], n: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A number for each run of n events [G], and the session of each [G]."""
    flat = _flat([np.concatenate([[-1], session, [-1]]) for session in sessions])
    digits = np.where(flat.tokens < 0, BORDER, 1 + _index(flat.tokens, types))
    runs = max(len(digits) - n + 1, 0)
    grams = np.zeros(runs, np.int64)
    for at in range(n):
        grams = grams * (len(types) + 2) + digits[at : at + runs]
    whole = flat.owner[:runs] == flat.owner[n - 1 :]
    return grams[whole], flat.owner[:runs][whole]


def _index(tokens: npt.NDArray[np.int64], types: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Place of each token among the sorted types; len(types) for every other one."""
    place = np.searchsorted(types, tokens)
    known = np.append(types, -1)[place] == tokens
    return np.where(known, place, len(types))


def count_vector(normal: Sequence[Tokens], *, weighted: bool) -> Score:
    """Score by the distance to the nearest normal session, by shares of event types and not their order.

    The distance is L1 over the sum of the larger shares, 0 to 1; weighted, a type counts
    log10((1 + N) / sessions with it), and 1 where it is new.
    """
    types = np.unique(_flat(normal).tokens)
    shares = _shares(normal, types)
    seen_in = np.maximum((shares > 0).sum(axis=0), 1)
    weights = np.log10((1 + len(normal)) / seen_in) if weighted else np.ones(len(types) + 1)
    weights[-1] = 1.0
    known = np.unique(shares, axis=0)

    def score(sessions: Sequence[Tokens]) -> Scores:
        distinct, which = np.unique(_shares(sessions, types), axis=0, return_inverse=True)
        nearest = np.ones(len(distinct))
        for vector in known:
            np.minimum(nearest, _distance(distinct, vector, weights), out=nearest)
        return nearest[which.ravel()]

    return score


def _shares(sessions: Sequence[Tokens], types: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Share of each type in each session [N, types + 1]; the last column is every other type."""
    flat, width = _flat(sessions), len(types) + 1
    cells = flat.owner * width + _index(flat.tokens, types)
    counts = np.bincount(cells, minlength=len(sessions) * width).reshape(len(sessions), width)
    return np.asarray(counts / np.maximum(flat.lengths, 1)[:, None], np.float64)


def _distance(
    rows: npt.NDArray[np.float64], vector: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    limit = np.maximum(rows, vector) @ weights
    return np.divide(np.abs(rows - vector) @ weights, limit, out=np.zeros(len(rows)), where=limit > 0)


def combination(normal: Sequence[Tokens]) -> Score:
    """Score by the weighted count vector, and above every distance by new events and odd lengths."""
    novelty, size, vector = new_event(normal), length(normal), count_vector(normal, weighted=True)

    def score(sessions: Sequence[Tokens]) -> Scores:
        rules = np.sign(novelty(sessions)) + np.sign(size(sessions))
        return np.asarray(vector(sessions) + 2 * rules, np.float64)

    return score


@dataclass(frozen=True, slots=True)
class Baseline:
    """A detector, and the one whose out-of-fold scores set its threshold."""

    name: str
    detector: Detector
    calibrated: Detector


def _baseline(name: str, detector: Detector) -> Baseline:
    return Baseline(name, detector, detector)


VECTOR_IDF = partial(count_vector, weighted=True)
BASELINES = (
    _baseline("new event", new_event),
    _baseline("length", length),
    _baseline("new 2-gram", partial(new_ngram, n=2)),
    _baseline("new 3-gram", partial(new_ngram, n=3)),
    _baseline("count vector", partial(count_vector, weighted=False)),
    _baseline("count vector, idf", VECTOR_IDF),
    # As published, new events and lengths always alarm and only the distance has a threshold: the
    # longest and the shortest session are outside the range of the other folds every time.
    Baseline("new event + length + count vector, idf", combination, VECTOR_IDF),
)


def fit(
    baseline: Baseline, normal: Sequence[Tokens], *, share: float, rng: np.random.Generator
) -> tuple[Score, float]:
    """The fitted score, and the threshold that at most this share of normals reaches out of fold."""
    held_out = out_of_fold(baseline.calibrated, normal, rng)
    return baseline.detector(normal), threshold(held_out, share)


def out_of_fold(detector: Detector, normal: Sequence[Tokens], rng: np.random.Generator) -> Scores:
    """Score every normal session [N] by a detector that was fitted on the other folds."""
    fold = rng.permutation(len(normal)) % FOLDS
    scores = np.zeros(len(normal))
    for held in range(FOLDS):
        score = detector([session for session, at in zip(normal, fold, strict=True) if at != held])
        scores[fold == held] = score(
            [session for session, at in zip(normal, fold, strict=True) if at == held]
        )
    return scores


def threshold(scores: Scores, share: float) -> float:
    """The lowest threshold that at most this share of normal scores [N] reaches; -inf where all may."""
    allowed = int(share * len(scores))
    if allowed >= len(scores):
        return -np.inf
    highest_below = np.partition(scores, len(scores) - 1 - allowed)[len(scores) - 1 - allowed]
    return float(np.nextafter(highest_below, np.inf))
