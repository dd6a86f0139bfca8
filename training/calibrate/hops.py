"""Learn how long the next line of a trace takes to come on another source. No torch, no I/O.

Every hop is judged before it is learnt, so that the sums are those of logs that were not learnt yet.
"""

import math
from collections import defaultdict
from heapq import heappop, heappush
from typing import NamedTuple

import msgspec

from detector.bundle import HopCalibration, HopUsual
from detector.pipeline import Batch
from detector.stages.judge.hop_state import HopState, Waiting
from detector.stages.judge.hop_sums import (
    FADE_S,
    MOMENT_S,
    MOST_NATS,
    RECEIVER,
    SECOND_US,
    SLACK_NATS,
    Hop,
    add,
    in_order,
    measured,
)

LEAST_HOPS = 200  # of which something can be learnt
BLOCK_US = 60 * SECOND_US
LEAST_NATS = 40.0  # three hops that could hardly be, of one source and at different moments
MARGIN = 2.0  # times the largest sum of a block of training
MOST_COUNTED = 1_024  # sources
MOST_LOUD = 10_000  # sums that are kept: were more of them an incident's, the limit is that of the least

_NOTHING = HopCalibration(0, LEAST_NATS, {}, {})  # what is slow teaches nothing in training either


class Pace(NamedTuple):
    """Whether sources have enough steps for a slow one to be noticed."""

    needed: float  # slow steps a minute, from about which a source alerts
    most: float  # steps a minute that the busiest source sends or gets, while there are any
    enough: int  # sources that have as many as are needed
    sources: int


def needed_a_minute(limit_nats: float) -> float:
    """How many steps a minute, evenly spaced and as slow as can be, add up to an alert; infinite: none."""
    tenths = [tenth / 10 for tenth in range(1, 600)]
    apart_s = max((apart_s for apart_s in tenths if _adds_up_to(apart_s) >= limit_nats), default=0.0)
    return 60.0 / apart_s if apart_s else math.inf


def _adds_up_to(apart_s: float) -> float:
    """The sum that the slowest hops come to, one after so many seconds."""
    each = (MOST_NATS - SLACK_NATS) * -math.expm1(-apart_s / MOMENT_S)
    return each / -math.expm1(-apart_s / FADE_S)


class HopLearner:
    """Takes every line of training in order; `learnt` says what there was to learn. Its memory is bounded."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._state = HopState("")
        self._hops = 0
        self._block: int | None = None  # the one at hand
        self._blocks = 0
        self._sent: dict[str, int] = defaultdict(int)  # hops by source, of the first so many sources
        self._got: dict[str, int] = defaultdict(int)
        self._loudest = 0.0  # sum of this one
        self._loud: list[float] = []  # largest sums of the blocks that raise the limit, as a heap

    def take(self, batch: Batch) -> None:
        """Learn from the lines that name a trace."""
        for line, token, clock_us in zip(batch.lines, batch.tokens, batch.clocks, strict=True):
            if line.trace and line.source and not line.continuation:
                # A trace that is in two logs is two in serving, where each log is judged by itself.
                of_log = msgspec.structs.replace(line, trace=f"{line.origin}\0{line.trace}")
                for one in in_order(self._state, of_log, token, clock_us):
                    self._learn(one)

    def _learn(self, line: Waiting) -> None:
        hop = measured(self._state, line, _NOTHING)
        if hop is None:
            return
        self._hops += 1
        self._count(hop, line)
        sender = add(self._state, hop.before.source, hop.nats, _NOTHING, held=hop.held).nats
        receiver = add(self._state, line.source, RECEIVER * hop.nats, _NOTHING, held=hop.held).nats
        block = self._state.now_us // BLOCK_US
        if block != self._block:
            self._end_block()
            self._block = block
            self._blocks += 1
        self._loudest = max(self._loudest, sender, receiver)

    def _count(self, hop: Hop, line: Waiting) -> None:
        for counts, source in ((self._sent, hop.before.source), (self._got, line.source)):
            if source in counts or len(counts) < MOST_COUNTED:
                counts[source] += 1

    @property
    def steps(self) -> int:
        """How many hops were measured."""
        return self._hops

    def pace(self, limit_nats: float) -> Pace:
        """How often there was a step, in the minutes in which there was any."""
        needed, minutes = needed_a_minute(limit_nats), max(1, self._blocks)
        rates = [
            max(self._sent.get(source, 0), self._got.get(source, 0)) / minutes
            for source in self._sent.keys() | self._got.keys()
        ]
        return Pace(needed, max(rates, default=0.0), sum(rate >= needed for rate in rates), len(rates))

    def _end_block(self) -> None:
        if self._loudest * MARGIN > LEAST_NATS:
            heappush(self._loud, self._loudest)
            if len(self._loud) > MOST_LOUD:
                heappop(self._loud)
        self._loudest = 0.0

    def learnt(self, contamination: float) -> HopCalibration | None:
        """What serving needs; None where too few traces went from source to source."""
        if self._hops < LEAST_HOPS:
            return None
        self._end_block()
        return HopCalibration(
            hops=self._hops,
            limit_nats=max(LEAST_NATS, MARGIN * self._largest(math.floor(contamination * self._blocks))),
            times=self._state.times,
            usual={name: HopUsual(slow.usual, slow.hops) for name, slow in self._state.sources.items()},
        )

    def _largest(self, dropped: int) -> float:
        """The largest sum of a block but so many; 0 where it would not raise the limit."""
        loud = sorted(self._loud, reverse=True)
        if dropped < len(loud):
            return loud[dropped]
        return loud[-1] if len(loud) == MOST_LOUD else 0.0
