"""Score closed sessions by what they held as well as by its order. Pure.

The sum of four tail-calibrated terms: order (surprise - entropy), count density (sum and maximum
over the slots) and idf distance to the sessions of training.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import EndingModel, Floats, SessionCalibration
from detector.stages.surprise import EXCESS_UNITS


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The measures of one closed session, each rising with abnormality."""

    order: float
    density: float
    density_max: float
    distance: float


def measure(
    model: EndingModel,
    counts: npt.NDArray[np.uint16],
    unknown: list[int],
    excess: list[int],
    events: list[int],
    calibration: SessionCalibration,
) -> list[Closed]:
    """Measure sessions by their counts [B,64], unknown events, excess sums and events with the ending."""
    rows = counts.astype(np.float32)
    density, density_max = model.run(rows)
    distance = idf_distance(
        rows, np.array(calibration.prototypes, np.float32), np.array(calibration.idf, np.float32)
    )
    return [
        Closed(
            order=excess[i] / EXCESS_UNITS / events[i] ** 0.5,
            density=float(density[i]) + unknown[i] * calibration.unknown_cost,
            density_max=max(float(density_max[i]), calibration.unknown_cost if unknown[i] else 0.0),
            distance=float(distance[i]),
        )
        for i in range(len(events))
    ]


def total(closed: Closed, calibration: SessionCalibration) -> float:
    """The session's score: the sum of the -log10 tail probabilities of its measures."""
    return (
        calibration.order.z(closed.order)
        + calibration.density.z(closed.density)
        + calibration.density_max.z(closed.density_max)
        + calibration.distance.z(closed.distance)
    )


def idf_distance(counts: Floats, prototypes: Floats, idf: Floats) -> Floats:
    """Smallest distance L1 / sum of maxima of idf-weighted shares of counts [B,64] to prototypes [P,64]; [B].

    The event count vector with idf of Landauer et al. 2024; prototypes are weighted already.
    """
    weighted = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0) * idf
    smallest = np.empty(len(weighted), np.float32)
    for index, row in enumerate(weighted):
        difference = np.abs(prototypes - row).sum(axis=1)
        largest = np.maximum(np.maximum(prototypes, row).sum(axis=1), 1e-12)
        smallest[index] = (difference / largest).min()
    return smallest
