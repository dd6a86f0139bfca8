"""What a shard keeps with its fence: how lines were read so far, and by which bundle. No I/O."""

from typing import Final

import msgspec

from detector.store.contract import Fence

BOTH: Final = ">"  # between the ids of two bundles in a fence


class Succession(msgspec.Struct, frozen=True, array_like=True):
    """The bundle before, while sources are still judged by it."""

    where: str  # its directory
    memories: dict[str, bytes]  # of its own reader, where it reads lines in another way
    until_us: int | None  # a source that comes after this is not waited for any more
    left: int  # sources that are still judged by it


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """What a start goes on from."""

    memories: dict[str, bytes] = {}  # of each origin, the decode stage's
    where: str = ""  # directory of the bundle; empty in what an earlier version wrote
    succession: Succession | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Remembered | dict[str, bytes])


def encode(remembered: Remembered) -> bytes:
    """Bytes to commit with the fence."""
    return _encoder.encode(remembered)


def of_fence(fence: Fence | None) -> Remembered:
    """What was committed with the fence."""
    if fence is None or not fence.memory:
        return Remembered()
    found = _decoder.decode(fence.memory)
    return found if isinstance(found, Remembered) else Remembered(found)


def bundles_of(fence: Fence) -> tuple[str, str | None]:
    """The ids of the newer bundle that a fence names, and of the one before it while that is in use."""
    before, _, newest = fence.bundle.rpartition(BOTH)
    return newest, before or None


def named(newest: str, before: str | None) -> str:
    """How a fence names its bundles."""
    return newest if before is None else f"{before}{BOTH}{newest}"
