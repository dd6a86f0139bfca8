"""What training runs over: windows of events cut from sessions, padded and masked. No I/O.

Sessions and long-lived streams end up as the same thing: windows of T events by B rows, in order,
where a row goes on from the window before it unless it is fresh. Back-propagation stops at a
window's edge and the state does not (truncated back-propagation through time, Williams and Peng
1990), so memory is bounded by the window, not by the sequence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.records import END, UNKNOWN

Tokens = npt.NDArray[np.int64]
Stream = npt.NDArray[np.integer]  # may be mapped from a file
Random = np.random.Generator

NOISE = 0.01  # share of events that each kind of training noise touches
EPOCH_EVENTS = 4_000_000  # an epoch of more data than this is a random part of it


@dataclass(frozen=True, slots=True)
class Window:
    """T consecutive events of B rows; a row that is not fresh goes on from the window before."""

    tokens: Tokens  # [T, B]
    weights: npt.NDArray[np.float32]  # [T, B]: 0 on padding and where a row is only warming up
    fresh: npt.NDArray[np.bool_]  # [B]


@dataclass(frozen=True, slots=True)
class Sessions:
    """Whole sessions end to end, each with its end-of-sequence token."""

    tokens: Tokens  # [sum of lengths]
    lengths: Tokens  # [N]

    @property
    def starts(self) -> Tokens:
        """Where each session begins in `tokens`."""
        return np.cumsum(self.lengths) - self.lengths


def join(sessions: Sequence[Stream]) -> Sessions:
    """Lay sessions end to end and end each."""
    lengths = np.array([len(session) + 1 for session in sessions], np.int64)
    ended = [part for session in sessions for part in (session, (END,))]
    return Sessions(np.concatenate(ended).astype(np.int64), lengths)


def session_windows(
    sessions: Sessions, *, rows: int, window: int, rng: Random | None, bound: int = EPOCH_EVENTS
) -> Iterator[Window]:
    """Batch sessions of like length, padded; with a generator, noisy, doubled up and in random order.

    With a generator at most `bound` events are read, drawn at random, before they are doubled.
    """
    if rng is not None:
        sessions = with_noise(_some(sessions, rng, bound), rng)
    ties = np.arange(len(sessions.lengths)) if rng is None else rng.permutation(len(sessions.lengths))
    order = np.lexsort((ties, sessions.lengths))
    batches = [order[at : at + rows] for at in range(0, len(order), rows)]
    for place in range(len(batches)) if rng is None else rng.permutation(len(batches)):
        yield from _padded(sessions, batches[place], window)


def _some(sessions: Sessions, rng: Random, bound: int) -> Sessions:
    """As many sessions, drawn at random, as make one epoch."""
    order = rng.permutation(len(sessions.lengths))
    keep = np.sort(order[: max(1, np.searchsorted(np.cumsum(sessions.lengths[order]), bound, "right"))])
    wanted = np.zeros(len(order), bool)
    wanted[keep] = True
    return Sessions(sessions.tokens[np.repeat(wanted, sessions.lengths)], sessions.lengths[keep])


def with_noise(sessions: Sessions, rng: Random) -> Sessions:
    """The sessions and a disturbed copy of them, with unknown tokens in both."""
    other = disturbed(sessions, rng)
    tokens = np.concatenate((sessions.tokens, other.tokens))
    return Sessions(forgetful(tokens, rng), np.concatenate((sessions.lengths, other.lengths)))


def forgetful(tokens: Tokens, rng: Random) -> Tokens:
    """Replace a few events by the unknown token; an end stays an end."""
    return np.where((rng.random(tokens.shape) < NOISE) & (tokens != END), UNKNOWN, tokens)


def disturbed(sessions: Sessions, rng: Random) -> Sessions:
    """Swap, double and lose a few events; ends stay where they are."""
    tokens, draw = sessions.tokens.copy(), rng.random(len(sessions.tokens))
    event = tokens != END
    first = np.flatnonzero((draw < NOISE) & event & np.roll(event, -1))
    first = first[np.diff(first, prepend=-2) > 1]  # no event takes part in two swaps
    tokens[first], tokens[first + 1] = tokens[first + 1], tokens[first]
    copies = np.ones(len(tokens), np.int64)
    copies[(draw >= NOISE) & (draw < 2 * NOISE) & event] = 2
    copies[(draw >= 2 * NOISE) & (draw < 3 * NOISE) & event] = 0
    return Sessions(np.repeat(tokens, copies), np.add.reduceat(copies, sessions.starts))


def _padded(sessions: Sessions, rows: Tokens, window: int) -> Iterator[Window]:
    """Cut one batch of sessions into windows; the padding is END with no weight."""
    lengths, starts = sessions.lengths[rows], sessions.starts[rows]
    for begin in range(0, int(lengths.max()), window):
        at = np.arange(begin, min(begin + window, int(lengths.max())))[:, np.newaxis]  # [T, 1]
        inside = at < lengths  # [T, B]
        tokens = np.where(inside, sessions.tokens[np.where(inside, starts + at, 0)], END)
        yield Window(tokens, inside.astype(np.float32), np.full(len(rows), begin == 0))
