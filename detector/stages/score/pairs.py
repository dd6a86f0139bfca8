"""Count neighbouring events that training never saw one after the other. Pure.

Forrest et al. (1996), "A Sense of Self for Unix Processes": new pairs find two steps in the wrong
order, which hardly move a sum of surprise. An unknown event makes no pair: it has its own cost.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from detector.bundle import Ints
from detector.records import UNKNOWN


def pair_keys(before: Ints, tokens: Ints, vocabulary: int) -> Ints:
    """A number for each pair of tokens [E]; END stands for the start as well."""
    return before * vocabulary + tokens


def count_new(known: Ints, before: list[int], rows: Sequence[Sequence[int]], vocabulary: int) -> list[int]:
    """How many pairs of each row [B] are not `known` (ascending keys); `before` are the tokens ahead."""
    lengths = np.array([len(row) for row in rows])
    tokens = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
    first = np.cumsum(lengths) - lengths
    ahead = np.roll(tokens, 1)
    ahead[first[lengths > 0]] = np.array(before, np.int64)[lengths > 0]
    keys = pair_keys(ahead, tokens, vocabulary)
    seen = known.take(np.searchsorted(known, keys), mode="clip") == keys if len(known) else keys < 0
    new = ~seen & (tokens != UNKNOWN) & (ahead != UNKNOWN)
    owner = np.repeat(np.arange(len(rows)), lengths)
    counts: list[int] = np.bincount(owner[new], minlength=len(rows)).tolist()
    return counts
