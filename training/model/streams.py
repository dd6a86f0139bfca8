"""Cut windows of events from long-lived streams, many lanes side by side; mapped arrays are read in part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from detector.records import UNKNOWN
from training.model.sequences import EPOCH_EVENTS, Random, Stream, Window, forgetful

LANE_WINDOWS = 32  # fewest windows worth a lane of their own
LANE_PIECES = 4  # stretches a lane runs through in one epoch, so that lanes end together


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one stream that one lane runs through with a carried state."""

    stream: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Cut:
    """One window of a piece; the first window of a piece inside a stream only warms the state up."""

    piece: Piece
    start: int
    stop: int

    @property
    def fresh(self) -> bool:
        return self.start == self.piece.start

    @property
    def weight(self) -> float:
        return 0.0 if self.fresh and self.start > 0 else 1.0


def stream_windows(
    streams: Sequence[Stream], *, rows: int, window: int, rng: Random | None, bound: int = EPOCH_EVENTS
) -> Iterator[Window]:
    """Run lanes through stretches of the streams; with a generator, noisy and in random order.

    With a generator at most `bound` events are read, drawn at random, stretch by stretch.
    """
    lengths = [len(stream) for stream in streams]
    pieces, lanes = _pieces(lengths, min(sum(lengths), bound), rows, window)
    if rng is not None:
        pieces = _some(pieces, rng, bound)
    shares = [_cuts(share, window) for share in _shared(pieces, lanes)]
    for cuts in zip_longest(*shares):
        yield _stacked(streams, cuts, window, rng)


def _pieces(lengths: Sequence[int], total: int, rows: int, window: int) -> tuple[list[Piece], int]:
    """Cut streams into whole windows, and say how many lanes an epoch of `total` events is worth."""
    lanes = min(max(total // (LANE_WINDOWS * window), 1), rows)
    longest = -(-total // (lanes * LANE_PIECES * window)) * window if lanes > 1 else max(total, 1)
    pieces = [
        Piece(stream, start, min(start + longest, length))
        for stream, length in enumerate(lengths)
        for start in range(0, length, longest)
    ]
    return pieces, lanes


def _some(pieces: list[Piece], rng: Random, bound: int) -> list[Piece]:
    """Pieces in random order, as many as make one epoch."""
    shuffled = [pieces[place] for place in rng.permutation(len(pieces))]
    events = np.cumsum([piece.stop - piece.start for piece in shuffled])
    return shuffled[: max(1, int(np.searchsorted(events, bound, "right")))]


def _shared(pieces: list[Piece], lanes: int) -> list[list[Piece]]:
    """Give each piece to the lane that has least to do."""
    shares: list[list[Piece]] = [[] for _ in range(lanes)]
    loads = [0] * lanes
    for piece in pieces:
        lane = loads.index(min(loads))
        shares[lane].append(piece)
        loads[lane] += piece.stop - piece.start
    return shares


def _cuts(pieces: list[Piece], window: int) -> Iterator[_Cut]:
    for piece in pieces:
        for start in range(piece.start, piece.stop, window):
            yield _Cut(piece, start, min(start + window, piece.stop))


def _stacked(
    streams: Sequence[Stream], cuts: tuple[_Cut | None, ...], window: int, rng: Random | None
) -> Window:
    """Put the lanes' cuts side by side; an idle lane is padding without weight."""
    tokens = np.full((window, len(cuts)), UNKNOWN, np.int64)
    weights = np.zeros((window, len(cuts)), np.float32)
    for lane, cut in enumerate(cuts):
        if cut is not None:
            tokens[: cut.stop - cut.start, lane] = streams[cut.piece.stream][cut.start : cut.stop]
            weights[: cut.stop - cut.start, lane] = cut.weight
    fresh = np.array([cut is None or cut.fresh for cut in cuts])
    return Window(tokens if rng is None else forgetful(tokens, rng), weights, fresh)
