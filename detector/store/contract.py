"""What a store holds and does, whichever server or file keeps it. Types only.

A store serves shards, each with one writer: in SQLite the one shard of the file, in Redis any number.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from detector.records import Reject, Revision
from detector.store.outbox import Enrolment


class Fence(msgspec.Struct, frozen=True):
    """How far a shard has come: what a batch is computed from."""

    number: int  # of commits; 0 before the first
    bundle: str
    fence: bytes  # the input's own, opaque here
    memory: bytes  # the decode stage's, opaque here


class Commit(msgspec.Struct, frozen=True):
    """Everything that a batch changes, to be written in one atomic step."""

    shard: str
    based_on: int  # the fence's number that the batch was computed from
    bundle: str
    fence: bytes
    memory: bytes
    states: dict[str, bytes | None]  # None: the source is gone
    due_us: dict[str, int | None]
    revisions: list[Revision]
    rejects: list[Reject]
    traces: dict[str, bytes | None] = {}  # by log; None: nothing is remembered of it any more


class Store(Protocol):
    """States, fences, rejects and outbox of shards; `tests/test_store.py` holds every kind to it."""

    def close(self) -> None:
        """Give back the file or the connections."""

    def enrol(self, shard: str, receivers: Iterable[Enrolment]) -> None:
        """Make these the receivers of every later revision of the shard."""

    def fence(self, shard: str) -> Fence | None:
        """How far the shard has come, None before its first commit."""

    def release(self, shard: str) -> None:
        """Forget what is remembered of a shard that another process may write to from now on."""

    def load(self, shard: str, sources: Iterable[str]) -> dict[str, bytes]:
        """The stored states of these sources, as far as there are any."""

    def sources(self, shard: str) -> int:
        """How many sources have a state."""

    def due(self, shard: str, clock_us: int, limit: int) -> list[str]:
        """Sources that the clock alone changes something about, the longest due first; -1 is no limit."""

    def each_source(self, shard: str) -> Iterator[str]:
        """The name of every source that has a state, one after the other."""

    def each_state(self, shard: str) -> Iterator[bytes]:
        """Every stored state, one after the other."""

    def all_states(self, shard: str) -> dict[str, bytes]:
        """Every stored state by its source, in order; for tests and for tools that look at a whole shard."""

    def traces(self, shard: str) -> dict[str, bytes]:
        """What is remembered of the traces in each log, where the shard has logs."""

    def commit(self, commit: Commit) -> None:
        """Write a batch's effects and its fence in one atomic step.

        Raises:
            Fenced: the shard has moved since the batch was computed.
            Unavailable: nothing was written.
            InDoubt: the commit was sent and its reply was lost; end the process, its start reads the fence.
        """
