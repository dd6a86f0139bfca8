"""Which events follow each other in training, and what it costs when others do. No I/O, no torch."""

import math
from collections.abc import Sequence

import numpy as np

from detector.bundle import Ints
from detector.records import END, UNKNOWN
from detector.stages.score.pairs import pair_keys

MOST_PAIRS = 65_536  # kept, the commonest; where there are more, a new pair says little


def known_pairs(sessions: Sequence[Ints], vocabulary: int) -> Ints:
    """The pairs of neighbouring events of the sessions, their start and end included, as ascending keys."""
    keys, times = np.unique(_pairs(sessions, vocabulary), return_counts=True)
    return np.sort(keys[np.argsort(-times, kind="stable")[:MOST_PAIRS]])


def new_pair_cost(sessions: Sequence[Ints], folds: Sequence[Ints], vocabulary: int) -> float:
    """Nats that a new pair costs, from how often a fold holds a pair that the others lack."""
    pairs = [_pairs([sessions[i] for i in fold], vocabulary) for fold in folds]
    distinct = [np.unique(keys) for keys in pairs]
    new = 0
    for k, keys in enumerate(pairs):
        others = np.unique(np.concatenate([one for j, one in enumerate(distinct) if j != k]))
        new += int((~np.isin(keys, others)).sum())
    return -math.log((new + 0.5) / (sum(map(len, pairs)) + 1))


def _pairs(sessions: Sequence[Ints], vocabulary: int) -> Ints:
    """The key of each pair [P] of known events."""
    tokens = np.concatenate([np.array([END]), *(part for one in sessions for part in (one, (END,)))])
    before, after = tokens[:-1].astype(np.int64), tokens[1:].astype(np.int64)
    known = (before != UNKNOWN) & (after != UNKNOWN)
    return pair_keys(before[known], after[known], vocabulary)
