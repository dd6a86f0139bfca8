"""The deliverer's side of the outbox in Redis: what is due for a receiver, and what became of it.

Talks to Redis on connections of its own. Every call is one script per shard, and may be made again.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from detector.config.options import RedisAt
from detector.errors import Unavailable
from detector.store.deliveries import Delivery
from detector.store.redis import scripts
from detector.store.redis.connect import nodes_at
from detector.store.redis.keys import key, keys
from detector.store.redis.nodes import Nodes
from detector.store.redis.pack import pack, unpack

_SHARD_BITS = 16
_TRIES = 3  # each after the receivers were read again


class Deliveries:
    """What waits for each receiver in the shards that this process owns."""

    def __init__(self, nodes: Nodes, prefix: str, owned: Callable[[], Collection[str]]) -> None:
        """Ask `owned` for the shards at every call: they come and go."""
        self._nodes = nodes
        self._prefix = prefix
        self._owned = owned
        self._names: list[str] = []  # of shards, in the order in which they were seen
        self._receivers: dict[str, list[str]] = {}

    def due(self, receiver: str, *, now_s: float, limit: int) -> list[Delivery]:
        """Take what may be sent now, one revision per alert, the longest due first."""
        found = []
        for shard in self._owned():
            for place, due_s, attempts, raw in self._call(shard, "due", receiver, now_s, limit) or []:
                alert_id, revision, _, payload = unpack(raw)
                delivery = Delivery(self._seq(shard, place), alert_id, revision, payload.encode(), attempts)
                found.append((float(due_s), place, delivery))
        found.sort(key=lambda one: one[:2])
        return [delivery for _, _, delivery in found[:limit]]

    def supersede(self, receiver: str) -> None:
        """Let a newer revision of the same status take the place of one that has failed."""
        for shard in self._owned():
            self._call(shard, "supersede", receiver)

    def next_due_s(self, receiver: str) -> float | None:
        """Say when something is due next; None where nothing waits."""
        times = [self._call(shard, "next_due_s", receiver) for shard in self._owned()]
        return min((float(time) for time in times if time), default=None)

    def delivered(self, receiver: str, seq: int) -> None:
        """Note that the receiver took it."""
        self._of(seq, "finish", receiver, "delivered", "")

    def dead(self, receiver: str, seq: int, error: str) -> None:
        """Give up on it after an attempt; `resend` can take it up again."""
        self._of(seq, "finish", receiver, "dead", error)

    def skip(self, receiver: str, seq: int, error: str) -> None:
        """Give up on it without one; `resend` can take it up again."""
        self._of(seq, "skip", receiver, error)

    def was_told(self, receiver: str, seq: int) -> bool | None:
        """Whether an earlier revision of the alert was tried; None where nothing is known of any."""
        told = self._of(seq, "was_told", receiver)
        return None if told == b"" else bool(told)

    def retry(self, receiver: str, seq: int, *, due_s: float, error: str) -> None:
        """Try it again later; one that was given up meanwhile stays so."""
        self._of(seq, "retry", receiver, due_s, error)

    def pause(self, receiver: str, *, until_s: float) -> None:
        """Send nothing to this receiver before then."""
        for shard in self._owned():
            self._call(shard, "pause", receiver, until_s)

    def disable(self, receiver: str, reason: str) -> None:
        """Stop sending to this receiver until it is enrolled with another target or enabled."""
        for shard in self._owned():
            self._call(shard, "disable", receiver, reason)

    def resend(self, receiver: str) -> int:
        """Make dead deliveries wait again and count them, except those that a higher revision overtook."""
        return sum(int(self._call(shard, "resend", receiver) or 0) for shard in self._owned())

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the deliveries that are kept, per receiver and state."""
        counts: Counter[tuple[str, str]] = Counter()
        for shard in self._owned():
            for receiver in self._read_receivers(shard):
                at = key(self._prefix, shard, "deliveries", receiver)
                counts.update((receiver, unpack(entry)[0]) for entry in self._nodes.ask(at, "HVALS", at))
        return dict(counts)

    def _of(self, seq: int, action: str, receiver: str, *args: Any) -> Any:
        shard = self._names[seq & (1 << _SHARD_BITS) - 1]
        return self._call(shard, action, receiver, seq >> _SHARD_BITS, *args)

    def _seq(self, shard: str, place: int) -> int:
        """A number that no other shard of this process has: the place in the outbox, and the shard."""
        if shard not in self._names:
            self._names.append(shard)
        return place << _SHARD_BITS | self._names.index(shard)

    def _call(self, shard: str, action: str, *args: Any) -> Any:
        for _ in range(_TRIES):
            names = self._receivers.get(shard) or self._read_receivers(shard)
            call = pack((names, action, *args))
            reply = scripts.run(self._nodes, scripts.DELIVERIES, keys(self._prefix, shard, names), [call])
            if reply[0] == b"done":
                return reply[1]
            del self._receivers[shard]
        raise Unavailable(f"the receivers of shard {shard} are being changed")

    def _read_receivers(self, shard: str) -> list[str]:
        at = key(self._prefix, shard, "receivers")
        names = sorted(name.decode() for name in self._nodes.ask(at, "HKEYS", at))
        self._receivers[shard] = names
        return names


@contextmanager
def open_deliveries(settings: RedisAt, owned: Callable[[], Collection[str]]) -> Iterator[Deliveries]:
    """The deliveries of the shards that are owned, for the thread that calls."""
    nodes = nodes_at(settings)
    try:
        yield Deliveries(nodes, settings.key_prefix, owned)
    finally:
        nodes.close()
