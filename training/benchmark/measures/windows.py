"""A stream judged window by window, for precision and recall. Pure."""

import numpy as np
import numpy.typing as npt

from training.benchmark.measures.sessions import Scores, best
from training.evaluate.metrics import Outcome, average_precision, outcome

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


def of_windows(anomalous: Mask, scores: Scores, size: int) -> tuple[float, float]:
    """Average precision and the best F1 of windows by their highest score."""
    truth = _any(anomalous, size)
    highest = np.maximum.reduceat(scores, np.arange(0, len(scores), size))
    normal, strange = highest[~truth], highest[truth]
    return average_precision(normal, strange), best(normal, strange, None)[0]


def flagged_windows(anomalous: Mask, flagged: Places, size: int) -> Outcome:
    """What flags come to, where a window is flagged by any line of it."""
    truth, marks = _any(anomalous, size), np.zeros(len(anomalous), bool)
    marks[flagged] = True
    said = _any(marks, size).astype(np.float64)
    return outcome(said[~truth], said[truth], 0.5)


def _any(marks: Mask, size: int) -> Mask:
    return np.asarray(np.logical_or.reduceat(marks, np.arange(0, len(marks), size)), bool)
