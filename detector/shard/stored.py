"""States of sources in a store, the recent ones in memory too. Reads the store; a commit writes to it."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

from detector.stages.judge.state import SourceState, decode, encode


class States(Protocol):
    """Where the encoded states lie."""

    def load(self, shard: str, sources: Iterable[str]) -> dict[str, bytes]:
        """The stored states of these sources, as far as there are any."""

    def due(self, shard: str, clock_us: int, limit: int) -> list[str]:
        """Sources that the clock alone changes something about, the longest due first; -1 is no limit."""


class StoredStates:
    """The states of one shard; at most `capacity` of them stay in memory.

    What is kept here must be committed before the next load: the store is read for what is not in memory.
    """

    def __init__(self, store: States, shard: str, bundle_id: str, capacity: int) -> None:
        """Begin with nothing in memory."""
        self._store = store
        self._shard = shard
        self._bundle_id = bundle_id
        self._capacity = capacity
        self._recent: OrderedDict[str, SourceState] = OrderedDict()

    def load(self, sources: Iterable[str]) -> dict[str, SourceState]:
        """The states of those of the sources that live; the caller may consume them.

        Raises:
            BadSetup: a stored state belongs to another bundle.
        """
        recent, states, unknown = self._recent, {}, []
        for source in sources:
            state = recent.get(source)
            if state is None:
                unknown.append(source)
            else:
                states[source] = state
        for source, data in self._store.load(self._shard, unknown).items():
            states[source] = decode(data, self._bundle_id)
        return states

    def due(self, clock_us: int, limit: int) -> list[str]:
        """Sources that this clock changes something about; ask again after they were dealt with."""
        return self._store.due(self._shard, clock_us, limit)

    def keep(self, states: dict[str, SourceState | None]) -> dict[str, bytes | None]:
        """Remember what a batch left, and give what is to be committed of it."""
        recent, bundle_id = self._recent, self._bundle_id
        encoded: dict[str, bytes | None] = {}
        for source, state in states.items():
            if state is None:
                recent.pop(source, None)
                encoded[source] = None
            else:
                recent[source] = state
                recent.move_to_end(source)
                encoded[source] = encode(state, bundle_id)
        while len(recent) > self._capacity:
            recent.popitem(last=False)
        return encoded
