"""MessagePack as Redis's Lua reads it: its library knows no binary type, so bytes go as strings. No I/O."""

from collections.abc import Sequence
from typing import Any

import msgspec

Value = str | bytes | int | float | bool
Packable = Value | Sequence[Value] | Sequence[Sequence[Value]]

_integer = msgspec.msgpack.Encoder().encode


def pack(values: Sequence[Packable]) -> bytes:
    """A list of text, bytes, numbers and such lists."""
    return b"\xdd" + len(values).to_bytes(4, "big") + b"".join(map(_one, values))


def unpack(value: bytes) -> Any:
    """What a script has packed; text where it is UTF-8, as all is that is read back so."""
    return msgspec.msgpack.decode(value)


def _one(value: Packable) -> bytes:
    if isinstance(value, str):
        return _string(value.encode())
    if isinstance(value, bytes):
        return _string(value)
    if isinstance(value, int | float):
        return _integer(value)
    return pack(value)


def _string(value: bytes) -> bytes:
    size = len(value)
    if size < 1 << 5:
        return bytes((0xA0 | size,)) + value
    if size < 1 << 16:
        return b"\xda" + size.to_bytes(2, "big") + value
    return b"\xdb" + size.to_bytes(4, "big") + value
