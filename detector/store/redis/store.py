"""States, fences, rejects and outbox of many shards in Redis, a shard's batch in one script. Talks to Redis.

One process writes to a shard. What it knows of it is right as long as the shard's fence is the one that it
knows: a commit names number and id of the commit before it.
"""

from collections.abc import Iterable, Iterator

import msgspec

from detector.errors import Fenced, InDoubt
from detector.store.contract import Commit, Fence
from detector.store.outbox import Enrolment
from detector.store.redis import encoding, scripts
from detector.store.redis.keys import key, keys
from detector.store.redis.nodes import Nodes
from detector.store.redis.pack import pack

READ_CHUNK = 10_000  # sources in one command: more than a batch of the usual size has
SCAN_COUNT = 1_000


class _Known(msgspec.Struct):
    """What this process knows of a shard that it writes to."""

    number: int
    commit_id: str
    before: str  # id of the commit before it
    sources: int
    receivers: list[str]
    next_due_us: float | None = None  # nothing is due before; None where that is not known


class RedisStore:
    """The shards under one key prefix."""

    def __init__(self, nodes: Nodes, prefix: str, bounds: encoding.Bounds) -> None:
        """Read nothing yet."""
        self._nodes = nodes
        self._prefix = prefix
        self._bounds = bounds
        self._shards: dict[str, _Known] = {}

    def close(self) -> None:
        """Close the connections."""
        self._nodes.close()

    def enrol(self, shard: str, receivers: Iterable[Enrolment]) -> None:
        """Make these the receivers of every later revision of the shard.

        Raises:
            Unavailable: Redis cannot be reached; do it again.
        """
        wanted = {one.name: (one.name, one.target, one.max_pending, one.enable) for one in receivers}
        known = self._receivers(shard)
        names = sorted({*known, *wanted})
        call = pack((names, "enrol", list(wanted.values())))
        reply = scripts.run(self._nodes, scripts.DELIVERIES, keys(self._prefix, shard, names), [call])
        if reply[0] == b"receivers":
            raise Fenced(f"another process enrols receivers of shard {shard}")
        if shard in self._shards:
            self._shards[shard].receivers = names

    def fence(self, shard: str) -> Fence | None:
        """How far the shard has come, None before its first commit; this process writes to it now."""
        fields = ("number", "id", "before", "sources", "bundle", "fence", "memory")
        at = self._key(shard, "fence")
        number, commit_id, before, sources, *rest = self._nodes.ask(at, "HMGET", at, *fields)
        self._shards[shard] = _Known(
            number=int(number or 0),
            commit_id=(commit_id or b"").decode(),
            before=(before or b"").decode(),
            sources=int(sources or 0),
            receivers=self._receivers(shard),
        )
        return None if number is None else Fence(int(number), rest[0].decode(), rest[1], rest[2])

    def mark(self, shard: str) -> bytes | None:
        """What was left beside the fence and no commit has removed."""
        at = self._key(shard, "fence")
        found: bytes | None = self._nodes.ask(at, "HGET", at, "mark")
        return found

    def set_mark(self, shard: str, mark: bytes) -> None:
        """Leave something beside the fence until the next commit."""
        at = self._key(shard, "fence")
        self._nodes.ask(at, "HSET", at, "mark", mark)

    def clear_mark(self, shard: str) -> None:
        """Take it away."""
        at = self._key(shard, "fence")
        self._nodes.ask(at, "HDEL", at, "mark")

    def check_unmoved(self, shard: str) -> None:
        """See that what was read of the shard is what this process left.

        Raises:
            Fenced: another process has written to it.
            Unavailable: Redis cannot be reached.
        """
        known, at = self._known(shard), self._key(shard, "fence")
        number, commit_id = self._nodes.ask(at, "HMGET", at, "number", "id")
        if (int(number or 0), (commit_id or b"").decode()) != (known.number, known.commit_id):
            raise _moved(shard, int(number or 0), known.number)

    def release(self, shard: str) -> None:
        """Forget what is known of a shard that this process no longer writes to."""
        self._shards.pop(shard, None)

    def load(self, shard: str, sources: Iterable[str]) -> dict[str, bytes]:
        """The stored states of these sources, as far as there are any."""
        at, wanted, states = self._key(shard, "states"), list(sources), dict[str, bytes]()
        if not self._known(shard).sources:
            return states
        for start in range(0, len(wanted), READ_CHUNK):
            names = wanted[start : start + READ_CHUNK]
            values = self._nodes.ask(at, "HMGET", at, *names)
            states |= {name: value for name, value in zip(names, values, strict=True) if value is not None}
        return states

    def sources(self, shard: str) -> int:
        """How many sources have a state."""
        return self._known(shard).sources

    def due(self, shard: str, clock_us: int, limit: int) -> list[str]:
        """Sources that the clock alone changes something about, the longest due first; -1 is no limit."""
        known, at = self._known(shard), self._key(shard, "due")
        if known.next_due_us is not None and clock_us <= known.next_due_us:
            return []
        found = self._nodes.ask(at, "ZRANGEBYSCORE", at, "-inf", f"({clock_us}", "LIMIT", 0, limit)
        return [source.decode() for source in found]

    def each_source(self, shard: str) -> Iterator[str]:
        """The name of every source that has a state, one after the other."""
        return (source for source, _ in self._scan(shard))

    def each_state(self, shard: str) -> Iterator[bytes]:
        """Every stored state, one after the other."""
        return (state for _, state in self._scan(shard))

    def all_states(self, shard: str) -> dict[str, bytes]:
        """Every stored state by its source, in order; for tests and for tools that look at a whole shard."""
        return dict(sorted(self._scan(shard)))

    def traces(self, shard: str) -> dict[str, bytes]:  # noqa: ARG002  (of no shard are any kept)
        """Nothing: a partition has part of the lines of a trace, and none is judged."""
        return {}

    def commit(self, commit: Commit) -> None:
        """Write a batch's effects and its fence in one atomic step.

        Raises:
            Fenced: the shard has moved since the batch was computed, or its receivers have.
            Unavailable: nothing was written.
            InDoubt: the commit was sent and its reply was lost; end the process, its start reads the fence.
            BadSetup: a key is not ours or was lost, or the user may not use it; nothing was written.
        """
        shard = commit.shard
        if commit.traces:
            raise ValueError(f"{shard} has traces of logs, which are kept in SQLite alone")
        known = self._known(shard)
        # One that is there already, as its reply was lost, was based on the one before.
        before = known.before if known.number == commit.based_on + 1 else known.commit_id
        commit_id, args = encoding.arguments(commit, before, known.receivers, self._bounds)
        names = keys(self._prefix, shard, known.receivers)
        # Unless the commit is written, what is known may be wrong: it is read again, should anybody go on.
        del self._shards[shard]
        reply = scripts.run(self._nodes, scripts.COMMIT, names, args, InDoubt)
        if reply[0] != b"written":
            raise _refusal(commit, reply)
        self._shards[shard] = known
        known.number, known.commit_id, known.before = commit.based_on + 1, commit_id, before
        known.sources, known.next_due_us = reply[1], float(reply[2] or "inf")

    def _known(self, shard: str) -> _Known:
        if shard not in self._shards:
            self.fence(shard)
        return self._shards[shard]

    def _receivers(self, shard: str) -> list[str]:
        at = self._key(shard, "receivers")
        return sorted(name.decode() for name in self._nodes.ask(at, "HKEYS", at))

    def _scan(self, shard: str) -> Iterator[tuple[str, bytes]]:
        """Every source once: a scan may come across one again while the table grows."""
        at, cursor, seen = self._key(shard, "states"), b"0", set()
        while True:
            cursor, row = self._nodes.ask(at, "HSCAN", at, cursor, "COUNT", SCAN_COUNT)
            for source, state in zip(row[::2], row[1::2], strict=True):
                if source not in seen:
                    seen.add(source)
                    yield source.decode(), state
            if cursor == b"0":
                return

    def _key(self, shard: str, part: str) -> str:
        return key(self._prefix, shard, part)


def _refusal(commit: Commit, reply: list[object]) -> Fenced:
    if reply[0] == b"receivers":
        return Fenced(f"another process has changed the receivers of shard {commit.shard}")
    return _moved(commit.shard, reply[1], commit.based_on)


def _moved(shard: str, number: object, based_on: int) -> Fenced:
    if number == based_on:
        return Fenced(
            f"shard {shard} is at another commit {number} than the one that the batch is based on; "
            "redis was set back, or another process has written to the shard"
        )
    return Fenced(
        f"shard {shard} is at commit {number}, not at {based_on}; "
        "another process has written to it, or redis was set back"
    )
