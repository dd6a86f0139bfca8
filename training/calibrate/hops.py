"""Learn how long the next line of a trace takes to come on another source. No torch, no I/O.

Every hop is judged before it is learnt, so that the sums are those of logs that were not learnt yet.
"""

import math
from heapq import heappop, heappush

import msgspec

from detector.bundle import HopCalibration, HopUsual
from detector.pipeline import Batch
from detector.stages.judge.hop_state import HopState, Waiting
from detector.stages.judge.hop_sums import RECEIVER, SECOND_US, add, in_order, measured

LEAST_HOPS = 200  # of which something can be learnt
BLOCK_US = 60 * SECOND_US
LEAST_NATS = 40.0  # three hops that could hardly be, of one source and at different moments
MARGIN = 2.0  # times the largest sum of a block of training
MOST_LOUD = 10_000  # sums that are kept: were more of them an incident's, the limit is that of the least

_NOTHING = HopCalibration(0, math.inf, {}, {})


class HopLearner:
    """Takes every line of training in order; `learnt` says what there was to learn. Its memory is bounded."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._state = HopState("")
        self._hops = 0
        self._block: int | None = None  # the one at hand
        self._blocks = 0
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
        sender = add(self._state, hop.before.source, hop.nats, _NOTHING).nats
        receiver = add(self._state, line.source, RECEIVER * hop.nats, _NOTHING).nats
        block = self._state.now_us // BLOCK_US
        if block != self._block:
            self._end_block()
            self._block = block
            self._blocks += 1
        self._loudest = max(self._loudest, sender, receiver)

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
