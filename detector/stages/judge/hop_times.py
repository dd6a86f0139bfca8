"""How long the next line of a trace takes to come on another source: what is usual, what is unlikely. Pure.

The logarithm of the time is a normal variable of unknown mean and variance, so that what it is next follows
Student's t (Gelman et al., Bayesian Data Analysis, 3.3). What is known of a pair of messages on any two
sources counts like one observation for those two, so that a new replica is judged from its first request on.
"""

import math

from detector.bundle import HopTimes

MEMORY = 300.0  # hops after which a mean follows a change: what lasts becomes usual
LEAST_S = 0.003  # stamps are no finer, or as good as their clocks are alike; shorter times are all the same
PRIOR_HOPS = 4.0  # that the spread assumed below counts for
PRIOR_SPREAD = 0.4  # of the logarithm, of two sources' hops about their mean
WIDE_SPREAD = 1.0  # of the hops of any sources
MOST_SPREADS = 3.0  # beyond its prediction that one hop is learnt as: an incident must not look usual soon


def log_time(seconds: float) -> float:
    """The logarithm by which hops are compared; all times below the stamps' grain are alike."""
    return math.log(seconds + LEAST_S)


def typical_s(log: float) -> float:
    """The time that has a logarithm."""
    return max(0.0, math.exp(log) - LEAST_S)


def predicted(own: HopTimes | None, anywhere: HopTimes) -> tuple[float, float, float]:
    """Mean, scale and degrees of freedom of the next logarithm."""
    if own is None:
        freedom = PRIOR_HOPS + anywhere.hops
        variance = (PRIOR_HOPS * WIDE_SPREAD**2 + anywhere.hops * anywhere.variance) / freedom
        return anywhere.mean, math.sqrt(variance * (1.0 + 1.0 / anywhere.hops)), freedom
    freedom = PRIOR_HOPS + own.hops
    mean = (anywhere.mean + own.hops * own.mean) / (1.0 + own.hops)
    variance = (PRIOR_HOPS * PRIOR_SPREAD**2 + own.hops * own.variance) / freedom
    return mean, math.sqrt(variance * (1.0 + 1.0 / (1.0 + own.hops))), freedom


def tail_nats(spreads: float, freedom: float) -> float:
    """-ln of the probability that Student's t exceeds so many spreads, by Wallace's approximation (1959)."""
    if spreads <= 0.0:
        return 0.0
    bend = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0)
    z = bend * math.sqrt(freedom * math.log1p(spreads * spreads / freedom))
    return -math.log(max(0.5 * math.erfc(z / math.sqrt(2.0)), 1e-300))


def learn(times: HopTimes, log: float) -> None:
    """Take one logarithm into a leaky mean and variance."""
    times.hops = min(times.hops + 1.0, MEMORY)
    above = log - times.mean
    times.mean += above / times.hops
    times.variance += (above * (log - times.mean) - times.variance) / times.hops


def within(log: float, mean: float, spread: float) -> float:
    """The logarithm as it is learnt."""
    return min(max(log, mean - MOST_SPREADS * spread), mean + MOST_SPREADS * spread)
