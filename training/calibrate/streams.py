"""Calibrate long-lived sources: rarity, the leaky sum and silence. No torch, no I/O."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import StepModel, StreamCalibration, Tail
from detector.records import UNKNOWN
from detector.stages.judge.rarity import MEMORY, add_excess, rarity_nats, starts_episode
from detector.stages.judge.silence import ARMED_EVENTS
from detector.stages.judge.state import Rarity
from detector.stages.judge.stream import WARM_EVENTS, excess_nats
from detector.stages.score.score import score_rows
from detector.stages.surprise import Row
from training.calibrate.calibrate import Tokens, Values, fit_tail

BLOCK_EVENTS = 1_000  # several times the memory of the leaky sum, so that maxima are nearly independent
LEAST_GAP_US = 1_000_000
SILENCE_LEAST = 3.0  # times the largest gap so far
SILENCE_MARGIN = 2.0  # times the largest ratio of a gap to the largest before it
Z_95 = 1.645  # one-sided
LEAST_BLOCKS = 10
SCALE_NATS = (1.0, 2.0)  # a sum of log probabilities that are right falls off by 1; incidents lie beyond 2


@dataclass(frozen=True, slots=True)
class Stream:
    """The events of one long-lived source in order; times in microseconds, negative where there is none."""

    source: str
    tokens: Tokens
    times: npt.NDArray[np.int64]


def halves(stream: Stream) -> tuple[Stream, Stream]:
    """The older and the newer half: by time where there are times, else by count."""
    size = len(stream.tokens)
    cut = size // 2
    if size > 1 and (stream.times >= 0).all():
        newest = np.maximum.accumulate(stream.times)
        cut = int(np.searchsorted(newest, (int(newest[0]) + int(newest[-1])) // 2))
    cut = min(max(cut, 1), max(size - 1, 1))
    return (
        Stream(stream.source, stream.tokens[:cut], stream.times[:cut]),
        Stream(stream.source, stream.tokens[cut:], stream.times[cut:]),
    )


def days_of(streams: Sequence[Stream]) -> float:
    """Event time that the streams span together, in days; 0 where nothing has a time."""
    times = [stream.times[stream.times >= 0] for stream in streams]
    times = [t for t in times if len(t)]
    if not times:
        return 0.0
    return (max(int(t.max()) for t in times) - min(int(t.min()) for t in times)) / 86_400e6


def episode_counts(streams: Sequence[Stream], vocabulary: int) -> tuple[list[float], float]:
    """Leaky episode starts per token, a mean over the sources, and the mean rarity of an episode in nats."""
    counts = np.zeros(vocabulary)
    nats: list[float] = []
    for stream in streams:
        rarity = Rarity()
        for number, token in enumerate(stream.tokens.tolist(), 1):
            if starts_episode(rarity, token, number, first=True):
                nats.append(rarity_nats(rarity, token, number, 0.0, 0.0))
        size = len(stream.tokens)
        for token, (count, counted_at) in rarity.counts.items():
            counts[token] += count * math.exp((counted_at - size) / MEMORY)
    counts[UNKNOWN] = 0.0
    settled = nats[len(nats) // 5 :]  # the first episodes of all are rare only because memory is young
    return (counts / max(len(streams), 1)).tolist(), float(np.mean(settled)) if settled else 0.0


def surprise_of(step: StepModel, stream: Stream, hold_bits: float) -> Values:
    """Surprise in bits of every event [T], from the zero state."""
    row = Row(stream.tokens.tolist(), np.zeros(step.hidden_size, np.float32), 0)
    [score] = score_rows(step, [row], hold_bits)
    return score.surprise.astype(np.float64)


def block_maxima(held: Stream, surprise: Values, stream: StreamCalibration) -> list[float]:
    """The largest leaky sum in each block of a held-out stream, nats, given its surprise [T] in bits."""
    rarity, prior_total = Rarity(), sum(stream.counts)
    maxima = [0.0] * max(1, round(len(held.tokens) / BLOCK_EVENTS))
    for number, (token, bits) in enumerate(zip(held.tokens.tolist(), surprise.tolist(), strict=True), 1):
        if not starts_episode(rarity, token, number, first=token == UNKNOWN):
            continue
        nats = rarity_nats(rarity, token, number, stream.counts[token], prior_total)
        total = add_excess(rarity, excess_nats(nats, bits, stream), number)
        block = min((number - 1) // BLOCK_EVENTS, len(maxima) - 1)
        if number > WARM_EVENTS and total > maxima[block]:
            maxima[block] = total
    return maxima


def fit_maxima(maxima: Values, contamination: float) -> Tail:
    """An exponential tail above the median of block maxima, which incidents in the data do not stretch.

    The scale is read between the median and the upper quartile and kept to what sums of log probabilities
    can have; its upper bound (95 %) is taken, because a budget says "at most".
    """
    kept = np.sort(maxima)[: len(maxima) - math.floor(contamination * len(maxima))]
    if len(kept) < LEAST_BLOCKS:
        tail = fit_tail(kept)
        return msgspec.structs.replace(tail, scale=max(tail.scale, SCALE_NATS[1]))
    median, upper = np.quantile(kept, [0.5, 0.75])
    scale = float(np.clip((upper - median) / math.log(2), *SCALE_NATS))
    bound = 1 + Z_95 / math.sqrt(len(kept) / 2)
    tail = fit_tail(kept[kept <= median], share=0.0)
    quantiles = [*tail.quantiles[:-1], float(median)]
    return Tail(start=float(median), scale=bound * scale, share=0.5, quantiles=quantiles)


def silence(streams: Sequence[Stream]) -> tuple[int, float]:
    """The largest gap of a usual source, microseconds, and how many times that is silence; 0 if never."""
    gaps = [gaps for stream in streams if len(gaps := _gaps(stream)) > ARMED_EVENTS]
    if not gaps:
        return 0, 0.0
    usual = max(int(np.median([one.max() for one in gaps])), LEAST_GAP_US)
    ratios = [float((one[1:] / np.maximum(np.maximum.accumulate(one)[:-1], usual)).max()) for one in gaps]
    return usual, max(SILENCE_LEAST, SILENCE_MARGIN * max(ratios))


def _gaps(stream: Stream) -> npt.NDArray[np.int64]:
    return np.diff(np.maximum.accumulate(stream.times[stream.times >= 0]))
