"""Turn token sequences into what a fit runs over: windows of every epoch and held-out ones. No I/O."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detector.errors import BadSetup
from training.model.checkpoint import digest
from training.model.sequences import EPOCH_EVENTS, Sessions, Stream, Window, join, session_windows
from training.model.settings import FitSettings
from training.model.streams import stream_windows

HELD_OUT = 0.1  # share of the data that validates
HELD_OUT_EVENTS = 400_000  # more than this tell an epoch's worth no better
SESSION_EPOCH_EVENTS = 500_000  # of more sessions every epoch reads a random part


@dataclass(frozen=True, slots=True)
class Lessons:
    """Windows of an epoch by its number, and held-out ones that are the same every time."""

    training: Callable[[int], Iterator[Window]]
    validation: Callable[[], Iterator[Window]]
    events: int  # of one epoch, about
    digest: str
    resized: "Callable[[int], Lessons]"  # the same with so many rows side by side


def session_lessons(sessions: Sequence[Stream], settings: FitSettings) -> Lessons:
    """Learn from sessions, each ended by the end-of-sequence token; a tenth of them validates.

    Raises BadSetup where there are none.
    """
    _check(sessions)
    held = _held_out(sessions, settings.seed)
    chosen = join([session for session, out in zip(sessions, held, strict=True) if not out] or sessions)
    judged = join([session for session, out in zip(sessions, held, strict=True) if out] or sessions)

    def windows(data: Sessions, rng: np.random.Generator | None, rows: int) -> Iterator[Window]:
        return session_windows(data, rows=rows, window=settings.window, rng=rng, bound=SESSION_EPOCH_EVENTS)

    return _lessons(
        lambda rng, rows: windows(chosen, rng, rows),
        lambda rows: windows(judged, None, rows),
        settings,
        events=2 * min(len(chosen.tokens), SESSION_EPOCH_EVENTS),
        digest=digest(sessions),
    )


def stream_lessons(streams: Sequence[Stream], settings: FitSettings) -> Lessons:
    """Learn from long-lived streams, which may be mapped from files; the last tenth of each validates.

    Raises BadSetup where there are none.
    """
    _check(streams)
    share = min(HELD_OUT, HELD_OUT_EVENTS / sum(map(len, streams)))
    cuts = [len(stream) - int(share * len(stream)) for stream in streams]
    chosen = [stream[:cut] for stream, cut in zip(streams, cuts, strict=True)]
    judged = [stream[cut:] for stream, cut in zip(streams, cuts, strict=True) if cut < len(stream)] or chosen

    def windows(data: Sequence[Stream], rng: np.random.Generator | None, rows: int) -> Iterator[Window]:
        return stream_windows(data, rows=rows, window=settings.window, rng=rng)

    return _lessons(
        lambda rng, rows: windows(chosen, rng, rows),
        lambda rows: windows(judged, None, rows),
        settings,
        events=min(sum(map(len, chosen)), EPOCH_EVENTS),
        digest=digest(streams),
    )


def _lessons(
    training: Callable[[np.random.Generator, int], Iterator[Window]],
    validation: Callable[[int], Iterator[Window]],
    settings: FitSettings,
    *,
    events: int,
    digest: str,
) -> Lessons:
    """Fix the rows of a batch, and the generator of an epoch by the seed and its number."""
    return Lessons(
        training=lambda epoch: training(np.random.default_rng((settings.seed, epoch)), settings.batch),
        validation=lambda: validation(settings.batch),
        events=events,
        digest=digest,
        resized=lambda rows: _lessons(
            training, validation, replace(settings, batch=rows), events=events, digest=digest
        ),
    )


def _check(sequences: Sequence[Stream]) -> None:
    if not any(len(sequence) for sequence in sequences):
        raise BadSetup("there is no event to learn from; name files that hold log lines")


def _held_out(sessions: Sequence[Stream], seed: int) -> list[bool]:
    """Choose the sessions that validate, at random."""
    order = np.random.default_rng((seed, len(sessions))).permutation(len(sessions))
    events = np.cumsum([len(sessions[place]) for place in order])
    count = min(int(HELD_OUT * len(sessions)), int(np.searchsorted(events, HELD_OUT_EVENTS)))
    out = np.zeros(len(sessions), bool)
    out[order[:count]] = True
    return [bool(flag) for flag in out]
