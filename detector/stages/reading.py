"""What a second reader made of a closed session, and the tokens that are kept for it. Pure."""

from collections.abc import Sequence

import msgspec
import numpy as np

from detector.bundle import READ_EVENTS

_TOKEN = np.dtype("<u2")


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A session's second score, and the events that attention pointed at."""

    first: float  # the score that it was closed with
    z: float  # -log10 of the share of normal sessions with such a first score that get a stranger verdict
    score: float  # of both
    attended: list[tuple[int, int, float]]  # number of the event, its token, share of the attention


def with_tokens(packed: bytes, tokens: Sequence[int]) -> bytes:
    """Add tokens to those that are kept; the newest stay."""
    newest = np.array(tokens[-READ_EVENTS:], _TOKEN).tobytes()
    return (packed + newest)[-READ_EVENTS * _TOKEN.itemsize :]


def tokens_of(packed: bytes) -> list[int]:
    """The tokens that are kept, the oldest first."""
    tokens: list[int] = np.frombuffer(packed, _TOKEN).tolist()
    return tokens
