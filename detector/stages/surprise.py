"""What scoring takes and gives: stretches of tokens, and how surprising each was. No I/O."""

import msgspec
import numpy as np

from detector.bundle import Floats
from detector.records import END

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
    largest: float = 0.0  # surprise of its events, the end left out; set by `sums`

    def excess(self, steps: int) -> int:
        """Sum of surprise - entropy over the first `steps` events, in whole 1/4096 bits."""
        difference = self.surprise[:steps] - self.entropy[:steps]
        return int(np.rint(difference * EXCESS_UNITS).astype(np.int64).sum())


def sums(rows: list[Row], scores: list[RowScore]) -> list[int]:
    """The excess of each whole row, none of them empty; notes the largest surprise of each."""
    if not rows:
        return []
    surprise = np.concatenate([score.surprise for score in scores])
    entropy = np.concatenate([score.entropy for score in scores])
    lengths = np.array([len(row.tokens) for row in rows])
    starts = np.cumsum(lengths) - lengths
    units = np.rint((surprise - entropy) * EXCESS_UNITS).astype(np.int64)
    # The end of a sequence comes last and is no event.
    ended = np.array([row.tokens[-1] == END for row in rows])
    surprise[(starts + lengths - 1)[ended]] = 0.0
    for score, largest in zip(scores, np.maximum.reduceat(surprise, starts).tolist(), strict=True):
        score.largest = largest
    excess: list[int] = np.add.reduceat(units, starts).tolist()
    return excess
