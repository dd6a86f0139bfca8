"""Calibrate how far events may be out of order: usual surprise and its largest sum. No torch, no I/O."""

import math
from collections.abc import Sequence
from itertools import chain

import msgspec
import numpy as np
import numpy.typing as npt

from detector.bundle import StreamCalibration
from detector.records import UNKNOWN
from detector.stages.judge.order import MOST_BITS, add_surprise
from detector.stages.judge.rarity import starts_episode
from detector.stages.judge.state import Rarity
from detector.stages.judge.stream import WARM_EVENTS
from training.calibrate.calibrate import Values
from training.calibrate.streams import BLOCK_EVENTS, Stream

LEAST_SLACK = 0.5  # bits
LEAST_BITS = 5 * MOST_BITS  # several events: one line out of place is none
MARGIN = 2.0  # times the largest sum: of an incident that lies across two blocks each has half


def within_episodes(held: Stream, counts: Sequence[float]) -> npt.NDArray[np.bool_]:
    """The events of a held-out stream that serving would add up: everyday ones that training counted, [T]."""
    rarity = Rarity()
    tokens = enumerate(held.tokens.tolist(), 1)
    starts = [starts_episode(rarity, token, number, first=token == UNKNOWN) for number, token in tokens]
    counted = np.asarray(counts)[held.tokens] > 0.0
    counted[:WARM_EVENTS] = False
    return counted & ~np.array(starts, np.bool_)


def calibrate_order(
    surprise: Sequence[Values], stream: StreamCalibration, contamination: float
) -> StreamCalibration:
    """Calibrate by the surprise, in bits, of such events of each held-out stream.

    The limit is well beyond the largest sum that a block reached, but for the share declared abnormal: where
    normal logs have disorder of their own, only more of it calls for an alert.
    """
    blocks = list(chain.from_iterable(_blocks(bits) for bits in surprise if len(bits)))
    mean, slack = usual_surprise(blocks)
    stream = msgspec.structs.replace(stream, order_mean=mean, order_slack=slack, order_bits=math.inf)
    maxima = sorted(largest_sum(bits, stream) for bits in blocks)
    kept = maxima[: len(maxima) - math.floor(contamination * len(maxima))]
    limit = max(LEAST_BITS, MARGIN * max(kept, default=0.0))
    return msgspec.structs.replace(stream, order_bits=limit)


def usual_surprise(blocks: Sequence[Values]) -> tuple[float, float]:
    """Mean and standard deviation of a usual block; medians, which incidents in the data do not move."""
    if not blocks:
        return 0.0, LEAST_SLACK
    capped = [np.minimum(bits, MOST_BITS) for bits in blocks]
    mean, within = (float(np.median([of(bits) for bits in capped])) for of in (np.mean, np.std))
    return mean, max(LEAST_SLACK, within)


def largest_sum(bits: Values, stream: StreamCalibration) -> float:
    """The largest sum within a block, from 0, where no limit makes it begin anew."""
    rarity, largest = Rarity(), 0.0
    for one in bits.tolist():
        add_surprise(rarity, one, stream)
        largest = max(largest, rarity.order_bits)
    return largest


def _blocks(bits: Values) -> list[Values]:
    return np.array_split(bits, max(1, round(len(bits) / BLOCK_EVENTS)))
