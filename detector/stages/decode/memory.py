"""What the decode stage remembers of a shard between batches, and its codec. Small, bounded, no I/O.

It is committed with the fence: with it any cut of the records into batches gives the same lines.
"""

import msgspec

from detector.stages.decode.clock import ShardClock


class OriginMemory(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the next line of one origin is read against."""

    source: str  # of the last first line
    time_us: int | None  # of the last line that has one
    continuations: int = 0  # in a row, at the end of what was read
    json_lean: int = 0  # above 0: its records are JSON; below: text
    headed: bool = False  # its last first line had a learnt header with a time stamp
    stamped: bool = False  # a line of it bore a time of its own


class DecodeMemory(msgspec.Struct, frozen=True, array_like=True):
    """The shard's clock and its origins, the one unseen for longest first.

    `latest_us` is where a shell says that the lines of new origins are no later, as a file's last change
    does: it dates the first time stamp of an origin that leaves out its year or day.
    """

    clock: ShardClock = msgspec.field(default_factory=ShardClock)
    origins: dict[str, OriginMemory] = {}
    latest_us: int | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DecodeMemory)


def encode(memory: DecodeMemory) -> bytes:
    """The bytes to store with the fence."""
    return _encoder.encode(memory)


def decode(content: bytes) -> DecodeMemory:
    """The memory that `encode` wrote.

    Raises:
        msgspec.MsgspecError: the bytes are not such a memory.
    """
    return _decoder.decode(content)
