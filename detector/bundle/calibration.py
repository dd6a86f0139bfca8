"""The numbers that judging needs, as training writes them and serving checks them. No I/O."""

import bisect
import math
from collections.abc import Iterator
from itertools import pairwise

import msgspec

SLOTS = 64  # counted templates of a session; further ones share slots


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often normal data reaches a value: its quantiles, and an exponential tail above the last.

    `P(X > x) = share * exp(-(x - start) / scale)` for x above `start` (peaks over threshold,
    Pickands 1975, with shape 0); below it the shares of `quantiles` are interpolated.
    """

    start: float
    scale: float
    share: float  # of the sample above `start`
    quantiles: list[float]  # ascending values, at equally spaced shares from 1 down to `share`

    def z(self, value: float) -> float:
        """-log10 of the probability that normal data exceeds `value`."""
        if value > self.start:
            return -math.log10(self.share) + (value - self.start) / self.scale / math.log(10)
        above = bisect.bisect_right(self.quantiles, value)
        if above == 0:
            return 0.0
        low, high = self.quantiles[above - 1], self.quantiles[min(above, len(self.quantiles) - 1)]
        within = (value - low) / (high - low) if high > low else 0.0
        rank = (above - 1 + within) / (len(self.quantiles) - 1)
        return -math.log10(1.0 - (1.0 - self.share) * min(rank, 1.0))

    def value(self, z: float) -> float:
        """The value in the exponential tail whose `z` is the given one; `start` where that is below it."""
        return self.start + max(0.0, z + math.log10(self.share)) * math.log(10) * self.scale


class Pauses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the sessions of training were quiet after each template, by `pause_class`.

    Counts by token and class; a token's row stops at its last count that is not 0.
    """

    went_on: list[list[int]]  # pauses after which the session went on
    ended: list[list[int]]  # quiet from a session's last event to the end of the logs


class SessionCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turns a closed session's measures into one score, from out-of-fold scores of normal sessions."""

    slots: list[int]  # token -> count slot
    idf: list[float]  # per slot, and of unknown events
    prototypes: list[list[float]]  # distinct count vectors of training, with unknown: idf-weighted shares
    unknown_cost: float  # nats that the first unknown event adds to the count density
    pairs: list[int]  # neighbouring events of training, as `pair_keys` numbers them, ascending
    pair_cost: float  # nats of a pair that is not among them
    order: Tail  # sum of surprise - entropy over the square root of the length
    density: Tail  # count density, summed over the slots
    density_max: Tail  # count density of the strangest slot
    distance: Tail  # smallest idf distance to a prototype
    pair: Tail  # cost of all new pairs
    event: Tail  # largest surprise of a session
    end: Tail  # surprise of the end of the sequence
    summed: Tail  # sum of the z
    total: Tail  # the scores
    totals: list[float]  # the largest out-of-fold sums, descending
    sessions: int  # how many sums there were
    pauses: Pauses = Pauses([], [])


class NewMessages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often training brought messages that it had not seen before."""

    bursts: int  # of them in the newer half, by what the older half had
    events: int  # of the newer half
    day_events: float  # events a day, of all sources together


class StreamCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turns a long-lived source's surprise and rarity into sums and their thresholds."""

    # Per token: episode starts in training, leaky; of the unknown token: messages never seen before.
    counts: list[float]
    rarity_mean: float  # nats, over the episode starts of training
    order_mean: float  # bits of surprise of a usual event, of which one counts at most `order.MOST_BITS`
    order_slack: float  # bits above that mean which are still usual
    order_bits: float  # cumulative sum of surprise beyond both from which on events are out of order
    maxima: Tail  # largest leaky sum of rarity of each block of held-out normal events
    blocks: int  # how many there were
    events: int  # held-out events
    news: NewMessages | None  # None: each message that its source never showed is news
    sources: int  # in training
    silence_gap_us: int  # the largest gap of a usual source in training
    # A gap is silence beyond at least so many times that gap and the source's largest before.
    silence_factor: float


class HopTimes(msgspec.Struct, array_like=True, gc=False):
    """How long hops of one kind took: the logarithms' leaky mean and variance."""

    hops: float = 0.0  # that these are of, as far as they are remembered
    mean: float = 0.0
    variance: float = 0.0


class HopUsual(msgspec.Struct, frozen=True, array_like=True):
    """How unlikely the hops from and to a source usually are."""

    nats: float
    hops: int  # that this is the mean of


class HopCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the next line of a trace takes to come on another source, in training."""

    hops: int  # how many were measured
    limit_nats: float  # sum of what is unlikely from which on a source is slow
    times: dict[int, HopTimes]  # by the number of a kind of hop
    usual: dict[str, HopUsual]  # per source


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers that judging needs; exactly one of `session` and `stream` is there."""

    budget: float  # false alerts a day, or per 10,000 sessions
    days: float  # event time of the held-out data; 0 where lines have no time
    hold_bits: float  # an event more surprising than this does not enter the hidden state
    worst_bits: float  # from here on a session's most surprising event is kept as evidence
    surprise: Tail  # of single events
    new_templates: int  # patterns that training had not seen in the held-out data
    new_template_alerts: bool  # whether one unknown line is worth an alert of its own
    session: SessionCalibration | None = None
    stream: StreamCalibration | None = None
    hops: HopCalibration | None = None  # where lines name traces that go from source to source


_SESSION_TAILS = ("order", "density", "density_max", "distance", "pair", "event", "end", "summed", "total")


def faults_of(calibration: Calibration, size: int) -> Iterator[str]:
    """What judging could not work with; `size` is the vocabulary's."""
    if not calibration.budget > 0:
        yield "budget is not above 0"
    session, stream = calibration.session, calibration.stream
    tails = {"surprise": calibration.surprise}
    if stream is not None:
        tails["maxima"] = stream.maxima
        yield from _of_stream(stream, size)
    if session is not None:
        tails |= {name: getattr(session, name) for name in _SESSION_TAILS}
        if len(session.slots) != size or not all(slot < SLOTS for slot in session.slots):
            yield f"slots do not give {size} tokens one of {SLOTS} places"
        if not session.prototypes or any(len(one) != len(session.idf) for one in session.prototypes):
            yield "prototypes and idf are not of one length"
        if any(one >= other for one, other in pairwise(session.pairs)):
            yield "pairs do not ascend"
    yield from (f"{name} is no tail" for name, tail in tails.items() if not is_tail(tail))
    if calibration.hops is not None and not calibration.hops.limit_nats > 0:
        yield "limit_nats of hops is not above 0"


def _of_stream(stream: StreamCalibration, size: int) -> Iterator[str]:
    if len(stream.counts) != size:
        yield f"there are {len(stream.counts)} counts for {size} tokens"
    if stream.news is not None and not stream.news.day_events > 0:
        yield "day_events of news is not above 0"
    if not stream.order_bits > 0:
        yield "order_bits is not above 0"


def is_tail(tail: Tail) -> bool:
    """Whether every probability of it can be told."""
    return tail.scale > 0 and 0 < tail.share <= 1 and len(tail.quantiles) > 1
