"""Turn scores of held-out normal data into tail probabilities and thresholds. No torch, no I/O."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import SLOTS, EndingModel, SessionCalibration, StepModel, Tail
from detector.records import END, UNKNOWN
from detector.stages.score.ending import Closed, measure, summed, total
from detector.stages.score.pairs import count_new
from detector.stages.score.score import score_rows
from detector.stages.surprise import Row, RowScore

Values = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]

TAIL_SHARE = 0.02  # of a sample is fitted by the exponential tail
TAIL_LEAST = 5
QUANTILES = 129
MEDIAN, SURE = 0.0, 1.28  # deviations by which a tail that covers trusts the shares of few values less
# A tail is never steeper than this, an e-th a step: data that are all alike show no spread of their own.
LEAST_BITS = 0.1
LEAST_NATS = 0.1
LEAST_DISTANCE = 0.01  # of 1
LEAST_SUM = 1 / math.log(10)  # a sum of z falls at least as slowly as one z does
NEUTRAL = Tail(start=1e300, scale=1.0, share=1.0, quantiles=[1e300, 1e300])  # in which nothing is rare
KEPT_TOTALS = 2_000  # largest out-of-fold scores, from which any budget's threshold is read


def fit_tail(
    values: Sequence[float] | Values,
    share: float = TAIL_SHARE,
    least: float = 1e-6,
    *,
    cover: float | None = None,
) -> Tail:
    """Fit an exponential tail above the largest `share` of the values, quantiles below it.

    Peaks over threshold with shape 0 (Pickands 1975); the scale is the mean excess, its maximum-likelihood
    estimate, but at least `least`: where all values are alike, they say nothing of how far others may lie.
    With `cover` the tail is nowhere below what the values of its upper half say: most counts of new pairs
    are 0, and the mean excess says little of the few others. `MEDIAN` takes their shares as they are,
    `SURE` only as far as nine in ten such samples would bear them out.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    size = len(ordered)
    if size == 0:
        return Tail(start=0.0, scale=1.0, share=1.0, quantiles=[0.0, 0.0])
    above = min(max(TAIL_LEAST, math.ceil(share * size)), max(1, size - 1))
    start = float(ordered[size - above - 1]) if size > above else float(ordered[0])
    excess = ordered[size - above :] - start
    spread = float(ordered[-1] - ordered[0])
    scale = max(float(excess.mean()), 1e-3 * spread, least)
    scale = scale if cover is None else max(scale, _covering(excess, cover))
    part = above / size if size > above else 1.0
    quantiles = np.quantile(ordered, np.linspace(0.0, 1.0 - part, QUANTILES)) if part < 1 else ordered[[0, 0]]
    quantiles[-1] = start
    return Tail(start=start, scale=scale, share=part, quantiles=np.maximum.accumulate(quantiles).tolist())


def _covering(excess: Values, doubt: float) -> float:
    """The least scale of a tail that covers the upper half of these excesses [K], ascending.

    Where k of them lie, the tail leaves at least the mean of a Poisson count that reaches k with a chance
    of one half, or with `doubt` deviations less (Wilson and Hilferty 1931).
    """
    ranks = np.arange(1, len(excess) // 2 + 1)
    means = ranks * np.maximum(1 - 1 / (9 * ranks) - doubt / (3 * np.sqrt(ranks)), 0.1) ** 3
    return float((excess[::-1][: len(ranks)] / np.log(len(excess) / means)).max(initial=0.0))


@dataclass(frozen=True, slots=True)
class Measured:
    """What sessions [N] were found to be, before calibration."""

    closed: list[Closed]
    largest: Values  # bits, the most surprising event
    end: Values  # bits, the end of the sequence
    events: Values  # bits, every event of every session


@dataclass(frozen=True, slots=True)
class EndingParts:
    """What `measure` needs of a session calibration, before there is one."""

    slots: list[int]
    idf: list[float]
    prototypes: list[list[float]]
    unknown_cost: float
    pairs: list[int]
    pair_cost: float


def measure_sessions(
    step: StepModel, ending: EndingModel, sessions: Sequence[Tokens], parts: EndingParts, hold_bits: float
) -> Measured:
    """Score whole sessions as serving does; each is an array of tokens without the end."""
    blank = np.zeros(step.hidden_size, np.float32)
    closed: list[Closed] = []
    largest, end, events = [], [], []
    stand_in, known = _uncalibrated(parts), np.array(parts.pairs, np.int64)
    for start in range(0, len(sessions), 4096):
        chunk = sessions[start : start + 4096]
        rows = [Row([*tokens.tolist(), END], blank, 0) for tokens in chunk]
        scores = score_rows(step, rows, hold_bits)
        counts = np.stack([count_slots(tokens, parts.slots) for tokens in chunk])
        closed += measure(
            ending,
            counts,
            unknown=[int((tokens == UNKNOWN).sum()) for tokens in chunk],
            excess=[score.excess(len(row.tokens)) for row, score in zip(rows, scores, strict=True)],
            events=[len(row.tokens) for row in rows],
            pairs=count_new(known, [END] * len(rows), [row.tokens for row in rows], len(parts.slots)),
            calibration=stand_in,
        )
        largest += [float(score.surprise[:-1].max(initial=0.0)) for score in scores]
        end += [float(score.surprise[-1]) for score in scores]
        events.append(_all_events(scores))
    return Measured(closed, np.array(largest), np.array(end), np.concatenate([*events, np.empty(0)]))


def _all_events(scores: list[RowScore]) -> Values:
    return np.concatenate([score.surprise[:-1] for score in scores]).astype(np.float64)


def count_slots(tokens: Tokens, slots: Sequence[int]) -> npt.NDArray[np.uint16]:
    """Counts of a session's known events by slot, [64]."""
    known = tokens[tokens > END]
    counts = np.bincount(np.asarray(slots, np.int64)[known], minlength=SLOTS)
    return np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)


def _uncalibrated(parts: EndingParts) -> SessionCalibration:
    none = fit_tail([])
    return SessionCalibration(
        slots=parts.slots,
        idf=parts.idf,
        prototypes=parts.prototypes,
        unknown_cost=parts.unknown_cost,
        pairs=parts.pairs,
        pair_cost=parts.pair_cost,
        order=none,
        density=none,
        density_max=none,
        distance=none,
        pair=none,
        event=none,
        end=none,
        summed=none,
        total=none,
        totals=[],
        sessions=0,
    )


def calibrate_sessions(
    measured: Measured, parts: EndingParts, contamination: float = 0.0, without: Iterable[str] = ()
) -> SessionCalibration:
    """Calibrate from out-of-fold measures of normal sessions.

    Args:
        measured: of N sessions, each scored by a model that had not seen it.
        parts: of the final model.
        contamination: share of the sessions that the user declares abnormal; the strangest are left out.
        without: measures of `Closed` that are to tell nothing, by the names of their tails.
    """
    left_out = dict.fromkeys(without, NEUTRAL)
    first = _tails(measured, parts, np.arange(len(measured.closed)), left_out)
    sums = np.array([total(closed, first) for closed in measured.closed])
    kept = np.argsort(sums, kind="stable")[: len(sums) - math.floor(contamination * len(sums))]
    second = first if len(kept) == len(sums) else _tails(measured, parts, kept, left_out)
    totals = sorted((total(measured.closed[i], second) for i in kept.tolist()), reverse=True)
    largest = [round(t, 6) for t in totals[:KEPT_TOTALS]]
    return msgspec.structs.replace(second, total=fit_tail(totals, least=LEAST_SUM), totals=largest)


def _tails(
    measured: Measured, parts: EndingParts, kept: npt.NDArray[np.int64], left_out: Mapping[str, Tail]
) -> SessionCalibration:
    closed = [measured.closed[i] for i in kept.tolist()]
    tails = SessionCalibration(
        slots=parts.slots,
        idf=parts.idf,
        prototypes=parts.prototypes,
        unknown_cost=parts.unknown_cost,
        pairs=parts.pairs,
        pair_cost=parts.pair_cost,
        order=fit_tail([c.order for c in closed], least=LEAST_BITS),
        # One session may lie anywhere: taken as it is, the strangest alone would flatten a density's tail.
        density=fit_tail([c.density for c in closed], least=LEAST_NATS, cover=SURE),
        density_max=fit_tail([c.density_max for c in closed], least=LEAST_NATS, cover=SURE),
        distance=fit_tail([c.distance for c in closed], least=LEAST_DISTANCE),
        pair=fit_tail([c.pairs for c in closed], least=LEAST_NATS, cover=MEDIAN),
        event=fit_tail(measured.largest[kept], least=LEAST_BITS),
        end=fit_tail(measured.end[kept], least=LEAST_BITS),
        summed=fit_tail([]),
        total=fit_tail([]),
        totals=[],
        sessions=len(closed),
    )
    tails = msgspec.structs.replace(tails, **left_out)
    sums = [summed(one, tails) for one in closed]
    return msgspec.structs.replace(tails, summed=fit_tail(sums, least=LEAST_SUM, cover=MEDIAN))
