"""Score closed sessions by what they held as well as by its order. Pure.

The sum of four tail-calibrated terms: order (surprise - entropy), count density (sum and maximum
over the slots) and idf distance to the sessions of training.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import EndingModel, Floats, SessionCalibration
from detector.stages.score import EXCESS_UNITS


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
    distance = idf_distance(rows, np.array(calibration.prototypes), np.array(calibration.idf))
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


def idf_distance(counts: Floats, prototypes: npt.NDArray[np.float64], idf: npt.NDArray[np.float64]) -> Floats:
    """Smallest idf-weighted distance L1 / sum of maxima of relative counts [B,64] to prototypes [P,64]; [B].

    Landauer et al. 2023, "A critical review of common log data sets used for evaluation of
    sequence-based anomaly detection techniques" (event count vectors with idf).
    """
    relative = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    smallest = np.empty(len(relative), np.float64)
    for index, row in enumerate(relative):
        difference = (np.abs(prototypes - row) * idf).sum(axis=1)
        largest = (np.maximum(prototypes, row) * idf).sum(axis=1)
        smallest[index] = (difference / np.maximum(largest, 1e-12)).min()
    return smallest.astype(np.float32)
