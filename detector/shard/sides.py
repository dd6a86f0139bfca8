"""A source between two bundles: its state under each, and how it goes from one to the other. No I/O."""

import msgspec

from detector.errors import BadSetup
from detector.records import Revision
from detector.shard.remembered import named
from detector.stages.judge import alerts, lives
from detector.stages.judge import state as one_state
from detector.stages.judge.alerts import SILENCE
from detector.stages.judge.state import CODEC_VERSION, SourceState


class Sides(msgspec.Struct):
    """The states of one source; it is the older bundle's for as long as that has a state."""

    old: SourceState | None
    new: SourceState | None  # beside an older one: what the newer bundle makes of it, and says to nobody
    seen: int = 0  # events that the newer bundle has had of it beside the older one


class _Stored(msgspec.Struct, array_like=True):
    """A state as `judge.state` writes it, and what one that is between two bundles has more."""

    version: int
    owner: str
    state: SourceState
    beside: SourceState | None = None
    seen: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def encode(sides: Sides, old: str, new: str) -> bytes:
    """Bytes of both states; of a source that only one bundle has, as that bundle alone would write it."""
    if sides.old is None:
        return _encoder.encode((CODEC_VERSION, new, sides.new))
    if sides.new is None and not sides.seen:
        return _encoder.encode((CODEC_VERSION, old, sides.old))
    return _encoder.encode(_Stored(CODEC_VERSION, named(new, old), sides.old, sides.new, sides.seen))


def decode(data: bytes, old: str, new: str) -> Sides:
    """The states in `data`; a life that is over is nobody's, and so the newer bundle's.

    Raises:
        BadSetup: it was written by another codec or for another bundle.
    """
    try:
        stored = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise BadSetup(f"a stored state cannot be read ({error}); start with a new state file") from error
    is_known = stored.state.ended or stored.owner in {old, new, named(new, old)}
    if stored.version != CODEC_VERSION or not is_known:
        raise BadSetup(
            f"a stored state belongs to bundle {stored.owner} (codec {stored.version}), neither to {old} nor "
            f"to {new} (codec {CODEC_VERSION}); use that bundle or start with a new state file"
        )
    if stored.owner == new or stored.state.ended:
        return Sides(None, stored.state)
    return Sides(stored.state, stored.beside, stored.seen)


def memory_bytes(sides: Sides) -> int:
    """Roughly what both states take in memory."""
    return sum(one_state.memory_bytes(one) for one in (sides.old, sides.new) if one is not None)


def retire(state: SourceState, at_us: int | None) -> list[Revision]:
    """End what an older bundle has of a source that lives on; its alerts are resolved by their time.

    But for a silence: only the life that fell silent would know of its end.
    """
    silences = [one for one in state.alerts if one.rule == SILENCE]
    state.alerts = [one for one in state.alerts if one.rule != SILENCE]
    lives.end_life(state)
    return [alerts.resolve(one, state.last_us if at_us is None else at_us) for one in silences]


def handed_over(old: SourceState | None, new: SourceState | None) -> SourceState | None:
    """The state with which the newer bundle goes on, from what the older one left.

    What the newer one opened beside it nobody was told of. Ids of its alerts are kept apart from the older
    one's as those of two lives are: by the number of lives that alerted.
    """
    if new is None or new.ended:
        return old
    new.alerts, new.alert_ids, new.silent = [], [], False
    new.earlier, new.remembered_us = 0, None
    if old is not None:
        new.alerts, new.earlier, new.remembered_us = old.alerts, old.earlier, old.remembered_us
        for alert in new.alerts:
            alert.flagged_number += new.number - old.number
    return new
