"""Judge one event of a long-lived source: what is rare, and what is out of order. Pure.

What starts an episode adds its rarity in its source to a leaky sum, weighted by the probability that the
model gave to anything else: the rare messages of a nightly job follow one another, and the model knows it.
The events within episodes are what `order` adds up.
"""

import math
from hashlib import blake2b

from detector.bundle import StreamCalibration
from detector.records import UNKNOWN
from detector.stages.judge.alerts import has_room
from detector.stages.judge.news import is_news
from detector.stages.judge.order import add_surprise
from detector.stages.judge.policy import Event, Policy
from detector.stages.judge.rarity import add_excess, rarity_nats, starts_episode, sum_of, unseen_nats
from detector.stages.judge.state import Rarity, SourceState

WARM_EVENTS = 32  # of a long-lived source, before its order is judged


def flag_in_stream(state: SourceState, event: Event, policy: Policy) -> bool:
    """Whether the state's newest event calls for an alert; its score is the larger of two on one scale."""
    rarity, stream = state.rarity, policy.calibration.stream
    if rarity is None or stream is None:
        raise TypeError("a long-lived source needs a rarity table and a stream calibration")
    excess, share = _excess(state, rarity, event, policy, stream), 0.0
    nats = sum_of(rarity, state.number) if excess is None else add_excess(rarity, excess, state.number)
    if not excess:  # the sum only fades: no event calls for an alert by the echo of one before it
        nats = min(nats, math.nextafter(policy.threshold, 0.0))
    warm = state.number > WARM_EVENTS
    seen = event.token != UNKNOWN and stream.counts[event.token] > 0.0
    if warm and excess is None and seen:  # what training never saw has no order
        share = add_surprise(rarity, event.surprise, stream)
    event.score, event.threshold = max(nats, share * policy.threshold), policy.threshold
    if not warm:
        return False
    state.score_max = max(state.score_max, event.score)
    return event.score >= event.threshold


def _excess(
    state: SourceState, rarity: Rarity, event: Event, policy: Policy, stream: StreamCalibration
) -> float | None:
    """What the state's newest event adds to the leaky sum, in nats; None inside an episode."""
    token, number = event.token, state.number
    key = token if token != UNKNOWN else pattern_hash(event.pattern)
    first = key not in rarity.last_seen
    if not starts_episode(rarity, key, number, first=token == UNKNOWN):
        return None
    if token != UNKNOWN:
        nats = rarity_nats(rarity, key, number, stream.counts[token], policy.prior_total)
        return excess_nats(nats, event.surprise, stream)
    if not first:  # the model still cannot have foreseen it
        nats = rarity_nats(rarity, key, number, 0.0, policy.prior_total)
        return excess_nats(nats, math.inf, stream)
    # It is as rare as messages never shown before are, as a whole.
    nats = rarity_nats(rarity, UNKNOWN, number, stream.counts[UNKNOWN], policy.prior_total)
    rarity.counts[key] = (1.0, number)
    news = stream.news is None or is_news(rarity, number, stream.news, policy.budget)
    event.news = news and policy.calibration.new_template_alerts and has_room(state)
    return 0.0 if event.news else excess_nats(nats, math.inf, stream)


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
