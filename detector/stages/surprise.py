"""What scoring takes and gives: stretches of tokens, and how surprising each was. No I/O."""

import msgspec
import numpy as np

from detector.bundle import Floats

EXCESS_UNITS = 4096  # per bit


class Row(msgspec.Struct, gc=False):
    """One stretch of one source, with the hidden state [S] before it."""

    tokens: list[int]
    hidden: Floats
    holds: int


class RowScore(msgspec.Struct, gc=False):
    """What a stretch was found to be."""

    surprise: Floats  # [T] bits
    entropy: Floats  # [T] bits, of the distribution before each event
    hidden: Floats  # [S] after the stretch
    holds: int
    held: list[int]  # events that did not enter the hidden state

    def excess(self, steps: int) -> int:
        """Sum of surprise - entropy over the first `steps` events, in whole 1/4096 bits."""
        difference = self.surprise[:steps] - self.entropy[:steps]
        return int(np.rint(difference * EXCESS_UNITS).astype(np.int64).sum())
