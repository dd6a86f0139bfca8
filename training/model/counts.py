"""What a finished session held: counts in 64 slots, and how far they are from training's. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.records import END, FIRST_TEMPLATE, UNKNOWN

SLOTS = 64
SHARED = 16  # slots that the rarer templates share where there are more templates than slots
PROTOTYPES = 256
NO_SLOT = -1  # unknown events and the end are not counted
_ROWS = 64  # sessions compared at once, to bound memory

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.integer]
Counts = npt.NDArray[np.int64]  # [N, 64]


def choose_slots(sessions: Sequence[Integers], vocabulary: int) -> list[int]:
    """Give every token a slot: templates in falling document frequency, the rarest sharing the last slots."""
    frequency = np.zeros(vocabulary, np.int64)
    for session in sessions:
        frequency[np.unique(session)] += 1
    ranked = np.argsort(-frequency[FIRST_TEMPLATE:], kind="stable") + FIRST_TEMPLATE
    own = SLOTS if len(ranked) <= SLOTS else SLOTS - SHARED
    slots = np.full(vocabulary, NO_SLOT)
    slots[ranked[:own]] = np.arange(min(own, len(ranked)))
    slots[ranked[own:]] = own + np.arange(len(ranked) - own) % SHARED if len(ranked) > own else NO_SLOT
    slots[[UNKNOWN, END]] = NO_SLOT
    return [int(slot) for slot in slots]


def count_events(sessions: Sequence[Integers], slots: Sequence[int]) -> Counts:
    """Count each session's events by slot [N, 64]."""
    of_token, counts = np.array(slots), np.zeros((len(sessions), SLOTS), np.int64)
    for row, session in enumerate(sessions):
        found = of_token[session]
        counts[row] = np.bincount(found[found != NO_SLOT], minlength=SLOTS)
    return counts


def count_unknown(sessions: Sequence[Integers]) -> Counts:
    """Count each session's unknown events [N]."""
    return np.array([np.count_nonzero(np.asarray(session) == UNKNOWN) for session in sessions], np.int64)


@dataclass(frozen=True, slots=True)
class Prototypes:
    """Distinct count vectors of training, each as shares of its session, weighted by idf.

    The last column is for unknown events.
    """

    vectors: Floats  # [P, 65]
    idf: Floats  # [65]


def prototypes(counts: Counts) -> Prototypes:
    """Keep the training vectors that cover the others best, at most 256.

    Where there are more, the farthest from those chosen is taken next (Gonzalez 1985), starting
    from the commonest.
    """
    frequency = np.append(
        (counts > 0).sum(0), 1
    )  # an unknown event counts as one that a single session holds
    idf = np.log(1 + len(counts) / np.maximum(frequency, 1)).astype(np.float32)
    weighted = _weighted(counts, np.zeros(len(counts), np.int64), idf)
    distinct, times = np.unique(weighted, axis=0, return_counts=True)
    if len(distinct) <= PROTOTYPES:
        return Prototypes(distinct, idf)
    chosen = [int(times.argmax())]
    nearest = distances(distinct, distinct[chosen])
    while len(chosen) < PROTOTYPES:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances(distinct, distinct[chosen[-1:]]))
    return Prototypes(distinct[chosen], idf)


def strangeness(counts: Counts, unknown: Counts, known: Prototypes) -> Floats:
    """Distance E [B] of each session to the nearest prototype: 0 is known, 1 has nothing in common.

    counts [B, 64]; unknown [B]: unknown events, which no prototype holds. The sum of differences over
    the sum of maxima of idf-weighted shares (Landauer et al. 2024, the event count vector with idf).
    """
    return distances(_weighted(counts, unknown, known.idf), known.vectors)


def _weighted(counts: Counts, unknown: Counts, idf: Floats) -> Floats:
    events = np.column_stack((counts, unknown))
    shares: Floats = (events / np.maximum(events.sum(1, keepdims=True), 1)).astype(np.float32)
    return shares * idf


def distances(vectors: Floats, others: Floats) -> Floats:
    """Smallest distance [B] of each vector [B, 65] to any of the others [P, 65]."""
    nearest = np.empty(len(vectors), np.float32)
    for at in range(0, len(vectors), _ROWS):
        some = vectors[at : at + _ROWS, np.newaxis]  # [b, 1, 65]
        difference = np.abs(some - others).sum(-1)  # [b, P]
        # max(a, b) = (a + b + |a - b|) / 2
        largest = (some.sum(-1) + others.sum(-1) + difference) / 2
        nearest[at : at + _ROWS] = (difference / np.maximum(largest, np.float32(1e-12))).min(1)
    return nearest
