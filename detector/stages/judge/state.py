"""What is remembered of one source between batches, and its codec. Bounded whatever the stream's length.

A state is consumed by the step that advances it; what must survive goes through `encode`.
"""

import msgspec
import numpy as np

from detector.bundle import SLOTS
from detector.errors import BadSetup
from detector.stages.judge.ring import RingLine

CODEC_VERSION = 4

MAX_PATTERNS = 64  # patterns of unknown lines a session remembers; the oldest is forgotten
MAX_SLOTS = 1024  # templates and patterns of unknown lines in a rarity table; the longest unseen is forgotten
MAX_ALERTS = 8  # new templates of one source that alert at the same time

_COUNTS_BYTES = 2 * SLOTS
_BARE_BYTES = 1000  # in memory: a state, or a part of one, with its numbers and its place in a table
_ITEM_BYTES = 110  # an entry of a dict with its key and its value
_LINE_BYTES = 250  # a line with its position


class Worst(msgspec.Struct, array_like=True, gc=False):
    """The most surprising event of a session so far, kept as evidence for its ending."""

    position: str
    text: bytes
    token: int
    number: int
    time_us: int | None
    surprise: float
    level: str
    expected: list[tuple[int, float]]
    before: list[RingLine]


class OpenAlert(msgspec.Struct, array_like=True):
    """An alert that is firing: what is needed to extend it, resolve it and show it again."""

    alert_id: str
    rule: str
    key: str
    revision: int
    payload: bytes  # the encoded Alert as last sent; later revisions start from it
    flags: int  # events that called for this alert
    flagged_number: int  # the last of them, counted within the life
    flagged_us: int | None
    after_wanted: int  # lines that the evidence still waits for
    after: list[RingLine]
    of_life: bool = True  # opened in the life that the state is of, not in one before it


class Rarity(msgspec.Struct, array_like=True):
    """How often each template starts an episode in this source, forgetting slowly."""

    episodes: float = 0.0  # leaky count of episode starts of this source
    episodes_number: int = 0  # event at which that count was up to date
    sum_nats: float = 0.0  # leaky sum of excess
    sum_number: int = 0  # event at which the sum was last brought up to date
    order_bits: float = 0.0  # cumulative sum of surprise above what is usual
    order_shift: float = 0.0  # slow mean of surprise less that of training, bits
    news: float = 0.0  # leaky count of bursts of messages never shown before
    news_number: int = 0  # event at which the last of them began, and that count was up to date
    last_seen: dict[int, int] = {}  # token -> number of its last event
    counts: dict[int, tuple[float, int]] = {}  # token -> leaky count, event at which it was up to date


class SourceState(msgspec.Struct, array_like=True):
    """One life of a source: from its first line to its ending."""

    hidden: bytes  # float32 [S]
    number: int = 0  # events so far in this life
    first_us: int | None = None
    last_us: int | None = None
    last_position: str = ""
    last_level: str = ""
    last_token: int = 0
    holds: int = 0  # events in a row that did not enter the hidden state
    unknown: int = 0
    excess_sum: int = 0  # sum of surprise - entropy in 1/4096 bits: whole numbers add up alike in any order
    surprise_max: float = 0.0
    score_max: float = 0.0
    gap_max_us: int = 0
    silent: bool = False  # the present gap has been reported
    ended: bool = False  # only alerts that are still to be resolved are left
    counts: bytes = b""  # uint16 [64], then the tokens for a second reader; empty for long-lived sources
    ring: bytes = b""  # the last lines, packed
    patterns: list[int] = []  # hashes of unknown patterns that were alerted; of a session
    alerts: list[OpenAlert] = []
    alert_ids: list[str] = []  # of this life, the newest few
    worst: Worst | None = None
    rarity: Rarity | None = None
    earlier: int = 0  # lives before this one that are remembered; once it is over, with this one
    remembered_us: int | None = None  # the newest event of those lives
    new_pairs: int = 0  # neighbouring events of a session that training never saw in this order


def new_state(hidden_size: int, *, session: bool) -> SourceState:
    """The state of a source before its first line."""
    return SourceState(
        hidden=bytes(4 * hidden_size),
        counts=bytes(2 * SLOTS) if session else b"",
        rarity=None if session else Rarity(),
    )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, str, SourceState])


def encode(state: SourceState, bundle_id: str) -> bytes:
    """Bytes of a state, naming the codec and the bundle that it belongs to."""
    return _encoder.encode((CODEC_VERSION, bundle_id, state))


def decode(data: bytes, bundle_id: str) -> SourceState:
    """The state in `data`. What is left of a life that is over says nothing that only one bundle knows.

    Raises:
        BadSetup: it was written by another codec or for another bundle.
    """
    try:
        version, owner, state = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise BadSetup(f"a stored state cannot be read ({error}); start with a new state file") from error
    if version != CODEC_VERSION or (owner != bundle_id and not state.ended):
        raise BadSetup(
            f"a stored state belongs to bundle {owner} (codec {version}), not to {bundle_id} "
            f"(codec {CODEC_VERSION}); use that bundle or start with a new state file"
        )
    return state


def memory_bytes(state: SourceState) -> int:
    """Roughly what a decoded state takes in memory, where small objects cost several times their bytes."""
    size = _BARE_BYTES + len(state.hidden) + len(state.counts) + len(state.ring)
    size += _ITEM_BYTES * (len(state.patterns) + len(state.alert_ids))
    if state.rarity is not None:
        size += _ITEM_BYTES * (len(state.rarity.last_seen) + 2 * len(state.rarity.counts))
    if state.worst is not None:
        size += _BARE_BYTES + _LINE_BYTES * len(state.worst.before)
    return size + sum(_BARE_BYTES + len(one.payload) + _LINE_BYTES * len(one.after) for one in state.alerts)


def count_matrix(states: list[SourceState]) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Count slots of sessions, [B,64], a copy."""
    joined = b"".join(state.counts[:_COUNTS_BYTES] for state in states)
    return np.frombuffer(joined, np.uint16).reshape(len(states), SLOTS).copy()


def read_tokens(state: SourceState) -> bytes:
    """The newest tokens of a session, packed, where its bundle has a second reader.

    They lie behind the counts, so that the states of other bundles are not a byte longer.
    """
    return state.counts[_COUNTS_BYTES:]


def hidden_matrix(states: list[SourceState]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Hidden states, [B,S], read-only."""
    joined = b"".join(state.hidden for state in states)
    return np.frombuffer(joined, np.float32).reshape(len(states), -1)
