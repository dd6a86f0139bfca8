"""How many events have to be changed to make a session a normal one, as a simple detector. Pure.

Levenshtein (1966), to the nearest training session, over the longer length: 0 to 1. A batch of training
sessions at a time; the row of the dynamic program is filled by a running minimum.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.evaluate.baselines import Score, Scores, Tokens

COMPARED = 20  # training sessions for each, those whose counts of events are nearest
MOST_KNOWN = 5_000  # distinct training sessions, drawn at random
MOST_EVENTS = 256  # of a session: the rest is left out
FILLER = -1  # behind a shorter one in a batch; like no event

_Counts = npt.NDArray[np.float32]


def edit_distance(normal: Sequence[Tokens]) -> Score:
    """Score by the share of events to change, add or remove for the nearest normal session."""
    known = list({tokens[:MOST_EVENTS].tobytes(): tokens[:MOST_EVENTS] for tokens in normal}.values())
    if len(known) > MOST_KNOWN:
        drawn = np.random.default_rng(0).choice(len(known), MOST_KNOWN, replace=False)
        known = [known[i] for i in np.sort(drawn).tolist()]
    width = 1 + max((int(tokens.max(initial=0)) for tokens in known), default=0)
    counts = np.stack([_counts(tokens, width) for tokens in known])

    def score(sessions: Sequence[Tokens]) -> Scores:
        found: dict[bytes, float] = {}
        for tokens in sessions:
            cut = tokens[:MOST_EVENTS]
            if cut.tobytes() not in found:
                found[cut.tobytes()] = _nearest(cut, known, counts)
        return np.array([found[tokens[:MOST_EVENTS].tobytes()] for tokens in sessions], np.float64)

    return score


def _counts(tokens: Tokens, width: int) -> _Counts:
    """How often each event is there; those beyond the known ones together."""
    return np.bincount(np.minimum(tokens, width), minlength=width + 1).astype(np.float32)


def _nearest(tokens: Tokens, known: Sequence[Tokens], counts: _Counts) -> float:
    apart = np.abs(counts - _counts(tokens, counts.shape[1] - 1)).sum(axis=1)
    near = np.argsort(apart, kind="stable")[:COMPARED].tolist()
    return float(_shares(tokens, [known[i] for i in near]).min())


def _shares(tokens: Tokens, others: Sequence[Tokens]) -> Scores:
    """Distance to each of several sessions over the longer length."""
    lengths = np.array([len(other) for other in others])
    padded = np.full((len(others), int(lengths.max(initial=0))), FILLER)
    for row, other in zip(padded, others, strict=True):
        row[: len(other)] = other
    places = np.arange(padded.shape[1] + 1)
    row = np.broadcast_to(places, (len(others), len(places))).copy()
    for event in tokens:
        changed = row.copy()
        changed += 1
        np.minimum(changed[:, 1:], row[:, :-1] + (padded != event), out=changed[:, 1:])
        row = np.minimum.accumulate(changed - places, axis=1) + places
    distance = row[np.arange(len(others)), lengths]
    return np.asarray(distance / np.maximum(np.maximum(lengths, len(tokens)), 1), np.float64)
