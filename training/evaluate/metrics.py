"""How good a detector's answers are, from counts or from scores. Pure.

What cannot be told (nothing was flagged, nothing is anomalous) counts as 0, so that a detector
gains nothing from silence.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054  # quantile of the normal distribution for a two-sided 95 % interval


@dataclass(frozen=True, slots=True)
class Outcome:
    """Test sources by what they are and what was said; shares where they were weighted."""

    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float

    @property
    def anomalous(self) -> float:
        """How many are anomalous in truth."""
        return self.true_positives + self.false_negatives

    @property
    def normal(self) -> float:
        """How many are normal in truth."""
        return self.false_positives + self.true_negatives

    @property
    def precision(self) -> float:
        """Share of the flagged that is anomalous."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the anomalous that is flagged."""
        return _share(self.true_positives, self.anomalous)

    @property
    def false_positive_rate(self) -> float:
        """Share of the normal that is flagged."""
        return _share(self.false_positives, self.normal)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _share(2 * self.true_positives, self.anomalous + self.true_positives + self.false_positives)

    @property
    def matthews(self) -> float:
        """Correlation of truth and answer, -1 to 1 (Matthews 1975)."""
        hit, miss = self.true_positives, self.false_negatives
        false, quiet = self.false_positives, self.true_negatives
        return _share(
            hit * quiet - false * miss, sqrt((hit + false) * self.anomalous * self.normal * (quiet + miss))
        )

    def at(self, prevalence: float) -> "Outcome":
        """What the same two rates give where this share of all sources is anomalous."""
        rare, common = prevalence, 1 - prevalence
        return Outcome(
            true_positives=rare * self.recall,
            false_positives=common * self.false_positive_rate,
            false_negatives=rare * (1 - self.recall),
            true_negatives=common * (1 - self.false_positive_rate),
        )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def outcome(normal: npt.NDArray[np.float64], anomalous: npt.NDArray[np.float64], threshold: float) -> Outcome:
    """Count what a threshold flags (it or more) among the scores of normals [N] and of anomalies [M]."""
    false, hit = int((normal >= threshold).sum()), int((anomalous >= threshold).sum())
    return Outcome(hit, false, len(anomalous) - hit, len(normal) - false)


def average_precision(
    normal: npt.NDArray[np.float64], anomalous: npt.NDArray[np.float64], prevalence: float | None = None
) -> float:
    """Mean precision over the recall that each threshold adds; equal scores are one threshold.

    Takes scores [N] of normals and [M] of anomalies, weighted to a prevalence where one is given.
    """
    if not len(anomalous):
        return 0.0
    share = len(anomalous) / (len(anomalous) + len(normal)) if prevalence is None else prevalence
    thresholds = np.unique(np.concatenate([normal, anomalous]))[::-1]
    recall = share * _share_at_least(anomalous, thresholds)
    false = (1 - share) * _share_at_least(normal, thresholds)
    gained = np.diff(recall, prepend=0.0)
    flagged = recall + false
    precision = np.divide(recall, flagged, out=np.zeros_like(recall), where=flagged > 0)
    return float((gained * precision).sum() / share)


def _share_at_least(
    scores: npt.NDArray[np.float64], thresholds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray((len(scores) - below) / max(len(scores), 1), np.float64)


def wilson(hits: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a share that was seen as hits in trials (Wilson 1927); everything where there were none."""
    if trials == 0:
        return 0.0, 1.0
    share, spread = hits / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
