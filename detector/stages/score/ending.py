"""Score closed sessions by what they held as well as by its order. Pure.

The sum of four tail-calibrated terms: order (surprise - entropy), count density (the larger of its
sum and its maximum over the slots), idf distance to the sessions of training, and new pairs. New
pairs may call for an alert alone, for two steps in the wrong order move nothing else.
"""

import math

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import EndingModel, Floats, SessionCalibration
from detector.stages.surprise import EXCESS_UNITS

COMPARED = 64  # sessions compared at once, to bound memory
HALF_Z = math.log10(2)  # the sum, and new pairs alone: each may take half of what is allowed

Counts = npt.NDArray[np.integer]


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The measures of one closed session, each rising with abnormality."""

    order: float
    density: float
    density_max: float
    distance: float
    pairs: float


def measure(
    model: EndingModel,
    counts: Counts,
    unknown: list[int],
    excess: list[int],
    events: list[int],
    pairs: list[int],
    calibration: SessionCalibration,
) -> list[Closed]:
    """Measure sessions by counts [B,64], unknown events, excess sums, events with the ending, new pairs."""
    density, density_max = model.run(counts.astype(np.float32))
    shares = weighted_shares(counts, np.array(unknown), np.array(calibration.idf, np.float32))
    distance = distances(shares, np.array(calibration.prototypes, np.float32))
    return [
        Closed(
            order=excess[i] / EXCESS_UNITS / events[i] ** 0.5,
            density=float(density[i]) + unknown_nats(unknown[i], calibration.unknown_cost),
            density_max=max(float(density_max[i]), calibration.unknown_cost if unknown[i] else 0.0),
            distance=float(distance[i]),
            pairs=pairs[i] * calibration.pair_cost,
        )
        for i in range(len(events))
    ]


def unknown_nats(events: int, cost: float) -> float:
    """What a session's unknown events cost together, if the first of them costs so much.

    Unknown events come together: what is rare is that there are any, and of how many there are nothing
    is known but that more are rarer (one in n, the prior of a scale; Jeffreys 1939).
    """
    return cost + math.log(events) if events else 0.0


def total(closed: Closed, calibration: SessionCalibration) -> float:
    """The session's score: the sum of its terms, or what new pairs alone are worth where that is more."""
    return max(summed(closed, calibration), _alone(closed, calibration))


def summed(closed: Closed, calibration: SessionCalibration) -> float:
    """The sum of the -log10 tail probabilities of the measures.

    One strange count makes both the sum and the maximum of the density strange: it counts once.
    """
    density = max(calibration.density.z(closed.density), calibration.density_max.z(closed.density_max))
    return _in_order(closed, calibration) + density + calibration.distance.z(closed.distance)


def so_far(closed: Closed, calibration: SessionCalibration) -> float:
    """The score of a session that was cut off: its order; what it would still have held is not known."""
    return max(_in_order(closed, calibration), _alone(closed, calibration))


def _in_order(closed: Closed, calibration: SessionCalibration) -> float:
    return calibration.order.z(closed.order) + calibration.pair.z(closed.pairs)


def _alone(closed: Closed, calibration: SessionCalibration) -> float:
    """The sum that normal sessions reach twice as often as such a cost of new pairs; 0 for a usual cost."""
    z, sums = calibration.pair.z(closed.pairs) - HALF_Z, calibration.summed
    return sums.value(z) if z > -math.log10(sums.share) else 0.0


def weighted_shares(counts: Counts, unknown: npt.NDArray[np.integer], idf: Floats) -> Floats:
    """Each session's events [B,65] as shares weighted by idf; the last column is its unknown events [B]."""
    events = np.column_stack((counts.astype(np.int64), unknown))
    shares: Floats = (events / np.maximum(events.sum(1, keepdims=True), 1)).astype(np.float32)
    return shares * idf


def distances(vectors: Floats, prototypes: Floats) -> Floats:
    """Smallest distance [B] of each vector [B,65] to any prototype [P,65].

    The sum of differences over the sum of maxima: 0 is known, 1 has nothing in common (Landauer et al.
    2024, the event count vector with idf).
    """
    nearest = np.empty(len(vectors), np.float32)
    sums = prototypes.sum(-1)
    for at in range(0, len(vectors), COMPARED):
        some = vectors[at : at + COMPARED, np.newaxis]  # [b,1,65]
        difference = np.abs(some - prototypes).sum(-1)  # [b,P]
        largest = (some.sum(-1) + sums + difference) / 2  # max(a, b) = (a + b + |a - b|) / 2
        nearest[at : at + COMPARED] = (difference / np.maximum(largest, np.float32(1e-12))).min(1)
    return nearest
