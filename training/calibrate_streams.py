"""Calibrate long-lived sources: rarity, the leaky sum's excursions and silence. No torch, no I/O."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import Calibration, StepModel, StreamCalibration, Tail
from detector.records import UNKNOWN
from detector.stages.judge import ARMED_EVENTS
from detector.stages.rarity import MEMORY, add_excess, rarity_nats, starts_episode
from detector.stages.score import score_rows
from detector.stages.state import Rarity
from detector.stages.stream import WARM_EVENTS, excess_nats
from detector.stages.surprise import Row
from training.calibrate import Tokens, Values, fit_tail

HELD_OUT = 0.2  # of a stream by time: the newest part
QUIET_NATS = 1.0  # below it an excursion of the leaky sum is over
SILENCE_LEAST = 3.0  # times the largest gap so far
SILENCE_MARGIN = 2.0  # times the largest ratio of a gap to the largest before it
BODY_SHARE = 0.5  # excursions of incidents hide in the upper tail, so the scale is read below it
BODY_END = 0.9


@dataclass(frozen=True, slots=True)
class Stream:
    """The events of one long-lived source in order; times in microseconds, negative where there is none."""

    source: str
    tokens: Tokens
    times: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What the judge would have seen on held-out data."""

    peaks: Values  # nats, one an excursion
    surprise: Values  # bits
    events: int


def split(stream: Stream) -> tuple[Stream, Stream]:
    """The older and the newer part; by time where there are times, else by count."""
    size = len(stream.tokens)
    cut = size - math.ceil(HELD_OUT * size)
    known = stream.times >= 0
    if known.all() and size > 1:
        begin, end = int(stream.times[0]), int(stream.times.max())
        cut = int(np.searchsorted(np.maximum.accumulate(stream.times), end - HELD_OUT * (end - begin)))
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
            if starts_episode(rarity, token, number):
                nats.append(rarity_nats(rarity, token, number, 0.0, 0.0))
        size = len(stream.tokens)
        for token, (count, counted_at) in rarity.counts.items():
            counts[token] += count * math.exp((counted_at - size) / MEMORY)
    counts[UNKNOWN] = 0.0
    settled = nats[len(nats) // 5 :]  # the first episodes of all are rare only because memory is young
    return (counts / max(len(streams), 1)).tolist(), float(np.mean(settled)) if settled else 0.0


def judge_held_out(
    step: StepModel,
    streams: Sequence[Stream],
    calibration: Calibration,
    stream_calibration: StreamCalibration,
) -> HeldOut:
    """Run the leaky sum over held-out streams, and keep the top of each of its excursions."""
    peaks: list[float] = []
    bits: list[Values] = []
    for stream in streams:
        surprise = surprise_of(step, stream, calibration.hold_bits)
        bits.append(surprise[WARM_EVENTS:])
        peaks += _excursions(stream, surprise, calibration, stream_calibration)
    return HeldOut(np.array(peaks), np.concatenate([*bits, np.empty(0)]), sum(len(s.tokens) for s in streams))


def surprise_of(step: StepModel, stream: Stream, hold_bits: float) -> Values:
    """Surprise in bits of every event [T], from the zero state."""
    row = Row(stream.tokens.tolist(), np.zeros(step.hidden_size, np.float32), 0)
    [score] = score_rows(step, [row], hold_bits)
    return score.surprise.astype(np.float64)


def _excursions(
    stream: Stream, surprise: Values, calibration: Calibration, stream_calibration: StreamCalibration
) -> list[float]:
    rarity, prior_total = Rarity(), sum(stream_calibration.counts)
    peaks: list[float] = []
    peak = 0.0
    for number, (token, bits) in enumerate(zip(stream.tokens.tolist(), surprise.tolist(), strict=True), 1):
        if not starts_episode(rarity, token, number):
            continue
        nats = rarity_nats(rarity, token, number, stream_calibration.counts[token], prior_total)
        total = add_excess(rarity, excess_nats(nats, bits, calibration, stream_calibration), number)
        if number <= WARM_EVENTS:
            continue
        if total < QUIET_NATS and peak > 0.0:
            peaks.append(peak)
            peak = 0.0
        elif total >= QUIET_NATS:
            peak = max(peak, total)
    return [*peaks, peak] if peak > 0.0 else peaks


def fit_peaks(peaks: Values, contamination: float) -> Tail:
    """An exponential tail of the excursions that incidents in the training data do not stretch.

    The scale comes from the body between the median and the ninth decile: incidents are fewer
    than a tenth of the excursions, however high they go.
    """
    kept = np.sort(peaks)[: len(peaks) - math.floor(contamination * len(peaks))]
    if len(kept) < 10:  # noqa: PLR2004  (a decile needs ten values)
        return fit_tail(kept)
    start, end = np.quantile(kept, [BODY_SHARE, BODY_END])
    scale = max(float(end - start) / math.log((1 - BODY_SHARE) / (1 - BODY_END)), 1e-3)
    body = fit_tail(kept, share=1 - BODY_SHARE)
    return msgspec.structs.replace(body, start=float(start), scale=scale, share=1 - BODY_SHARE)


def silence_factor(streams: Sequence[Stream]) -> float:
    """How many times the largest gap so far a gap must be to be silence; 0 where it cannot be told."""
    ratios = [ratio for stream in streams for ratio in _gap_ratios(stream)]
    return max(SILENCE_LEAST, SILENCE_MARGIN * max(ratios)) if ratios else 0.0


def _gap_ratios(stream: Stream) -> list[float]:
    times = np.maximum.accumulate(stream.times[stream.times >= 0])
    if len(times) <= ARMED_EVENTS:
        return []
    gaps = np.diff(times)
    largest = np.maximum(np.maximum.accumulate(gaps), 1_000_000)
    return [float((gaps[ARMED_EVENTS:] / largest[ARMED_EVENTS - 1 : -1]).max(initial=0.0))]
