"""Copies of normal sessions with one thing wrong, and where: what a second reader learns from. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from detector.records import END, FIRST_TEMPLATE, UNKNOWN

Tokens = npt.NDArray[np.int64]
Random = np.random.Generator
Kind = Literal["doubled", "lost", "swapped", "replaced", "truncated"]
KINDS: tuple[Kind, ...] = get_args(Kind)

UNKNOWN_SHARE = 0.2  # of the replaced events become unknown
TRIES = 4  # before a session is given up: one of equal events cannot be swapped


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A copy with its end, what was done to it, and the places [T] that show it."""

    tokens: Tokens
    kind: Kind
    wrong: npt.NDArray[np.bool_]


def corrupted(
    session: Tokens, vocabulary: int, rng: Random, normal: frozenset[bytes] = frozenset()
) -> Corrupted | None:
    """A copy of a session, given without its end, that is none of the normal ones; None if none was found."""
    for _ in range(TRIES):
        kind = KINDS[int(rng.integers(len(KINDS)))]
        found = _changed(session, kind, vocabulary, rng)
        if found is not None and found.tokens[:-1].tobytes() not in normal:
            return found
    return None


def known_sessions(sessions: Sequence[Tokens]) -> frozenset[bytes]:
    """The sessions as `corrupted` compares them."""
    return frozenset(session.astype(np.int64).tobytes() for session in sessions)


def _changed(session: Tokens, kind: Kind, vocabulary: int, rng: Random) -> Corrupted | None:
    tokens, size = [*session.tolist(), END], len(session)
    if size < 2:  # noqa: PLR2004  (nothing to swap, and nothing would be left)
        return None
    at = int(rng.integers(size))
    match kind:
        case "doubled":
            tokens.insert(at, tokens[at])
            wrong = [at, at + 1]
        case "lost":
            del tokens[at]
            wrong = [max(at - 1, 0), at]
        case "swapped":
            at = min(at, size - 2)
            tokens[at], tokens[at + 1] = tokens[at + 1], tokens[at]
            wrong = [at, at + 1]
        case "replaced":
            other = int(rng.integers(FIRST_TEMPLATE, max(vocabulary, FIRST_TEMPLATE + 1)))
            tokens[at] = UNKNOWN if rng.random() < UNKNOWN_SHARE else other
            wrong = [at]
        case "truncated":
            at = max(at, 1)
            tokens = [*tokens[:at], END]
            wrong = [at - 1, at]
    made = np.array(tokens, np.int64)
    if len(made) == size + 1 and np.array_equal(made[:-1], session):
        return None
    return Corrupted(made, kind, np.isin(np.arange(len(made)), wrong))
