"""Judge one event of a long-lived source: a leaky sum of excess. Pure.

An event adds its rarity in its source, weighted by the probability that the model gave to
anything else: the rare messages of a nightly job follow one another, and the model knows it.
"""

import math
from hashlib import blake2b

from detector.bundle import StreamCalibration
from detector.records import UNKNOWN
from detector.stages.judge.alerts import has_room
from detector.stages.judge.policy import Policy
from detector.stages.judge.rarity import SUM_MEMORY, add_excess, rarity_nats, starts_episode, unseen_nats
from detector.stages.judge.state import SourceState

WARM_EVENTS = 32  # of a long-lived source, before its order is judged


def stream_score(state: SourceState, token: int, surprise: float, pattern: str, policy: Policy) -> float:
    """The leaky sum in nats after the state's newest event; inside an episode nothing is added."""
    rarity, stream = state.rarity, policy.calibration.stream
    if rarity is None or stream is None:
        raise TypeError("a long-lived source needs a rarity table and a stream calibration")
    key = token if token != UNKNOWN else pattern_hash(pattern)
    number = state.number
    if not starts_episode(rarity, key, number):
        return rarity.sum_nats * math.exp((rarity.sum_number - number) / SUM_MEMORY)
    prior = stream.counts[token] if token != UNKNOWN else 0.0
    nats = rarity_nats(rarity, key, number, prior, policy.prior_total)
    if token == UNKNOWN:
        # Its first time has an alert of its own; after that the model still cannot have foreseen it.
        new = policy.calibration.new_template_alerts and key not in state.patterns
        alone = new and has_room(state)
        return add_excess(rarity, 0.0 if alone else excess_nats(nats, math.inf, stream), number)
    return add_excess(rarity, excess_nats(nats, surprise, stream), number)


def excess_nats(rarity: float, surprise: float, stream: StreamCalibration) -> float:
    """What an episode's start adds: rarity (nats) over its mean, as far as surprise (bits) is high."""
    return max(0.0, rarity - stream.rarity_mean) * (1.0 - math.exp2(-surprise))


def novelty(state: SourceState, policy: Policy) -> tuple[float, float]:
    """How strange it is to see a template for the first time, and what it is held against.

    Nats of rarity against their mean for a long-lived source, z against that of an event for a session.
    """
    session, stream = policy.calibration.session, policy.calibration.stream
    if state.rarity is not None and stream is not None:
        return unseen_nats(state.rarity, state.number, policy.prior_total), stream.rarity_mean
    z = session.unknown_cost / math.log(10) if session is not None else 0.0
    return z, min(z, policy.event_threshold)


def pattern_hash(pattern: str) -> int:
    """A negative 62-bit key for a pattern, apart from every token."""
    digest = blake2b(pattern.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "big") >> 2)
