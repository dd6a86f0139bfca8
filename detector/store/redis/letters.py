"""Dead letters in Redis: what waits to be published, and what can be listed or sent again. Talks to Redis.

On connections of its own. Every call is one script or command for a shard, and may be made again.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from detector.records import DeadLetter
from detector.store.redis import scripts
from detector.store.redis.keys import key, keys
from detector.store.redis.nodes import Nodes
from detector.store.redis.pack import pack

Numbered = tuple[int, DeadLetter]  # numbers rise, and none is given twice in a shard

_decode = msgspec.msgpack.Decoder(DeadLetter).decode


class Letters:
    """The dead letters of the shards under one key prefix."""

    def __init__(self, nodes: Nodes, prefix: str) -> None:
        """Connect to nothing yet."""
        self._nodes = nodes
        self._prefix = prefix

    def unpublished(self, shard: str, *, most_bytes: int) -> list[Numbered]:
        """The oldest that were not published, up to so many bytes but at least one, if there is one."""
        found = self._call(shard, "unpublished", most_bytes) or []
        return [(number, letter_of(raw)) for number, raw in found]

    def published(self, shard: str, number: int) -> None:
        """Note that all up to this one are published."""
        self._call(shard, "published", number)

    def remove(self, shard: str, numbers: Sequence[int]) -> int:
        """Take some out, and count those that were there."""
        return int(self._call(shard, "remove", list(numbers)) or 0)

    def kept(self, shard: str) -> list[Numbered]:
        """All that are kept, the oldest first."""
        at = key(self._prefix, shard, "letters")
        flat = self._nodes.ask(at, "HGETALL", at)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return sorted((int(number), letter_of(raw)) for number, raw in pairs)

    def dropped(self, shard: str) -> int:
        """How many were dropped for want of room."""
        at = key(self._prefix, shard, "fence")
        return int(self._nodes.ask(at, "HGET", at, "letters_dropped") or 0)

    def _call(self, shard: str, action: str, *args: Any) -> Any:
        call = pack((action, *args))
        return scripts.run(self._nodes, scripts.LETTERS, keys(self._prefix, shard, []), [call])[1]


def letter_of(raw: bytes) -> DeadLetter:
    """The dead letter that a commit has written."""
    return _decode(raw)
