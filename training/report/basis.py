"""Say in words what a threshold rests on: the budget, an extrapolation, or a floor. Pure."""

import math

from detector.bundle import Calibration, SessionCalibration
from detector.stages.judge.budget import (
    LEAST_NATS,
    RESOLVED_LEAST,
    allowed_held_out,
    extrapolated_score,
    score_threshold,
)

DAYS_ENOUGH = 3  # allowed alerts in the data, from which on their rate can be told


def basis_of(calibration: Calibration, budget: float) -> str:
    """What the threshold of a budget rests on, as the end of a sentence that names the threshold."""
    threshold = score_threshold(calibration, budget)
    if calibration.session is not None:
        return _of_sessions(calibration.session, budget, threshold)
    if threshold <= LEAST_NATS:
        return "the lowest that is ever used: the budget alone would allow a lower one"
    if 0 < calibration.days * budget < DAYS_ENOUGH:
        return "extrapolated from the budget: the held-out logs are too short to show it"
    return "which follows from the budget"


def _of_sessions(session: SessionCalibration, budget: float, threshold: float) -> str:
    if math.floor(allowed_held_out(session, budget)) >= RESOLVED_LEAST:
        return "which follows from the budget"
    if threshold > extrapolated_score(session, budget):
        return "that of the smallest budget which the held-out sessions can tell: a smaller one has no lower"
    return "extrapolated from the budget: the held-out sessions are too few to show it"
