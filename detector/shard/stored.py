"""States of sources in a store, the recent ones in memory too. Reads the store; a commit writes to it."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class States(Protocol):
    """Where the encoded states lie."""

    def load(self, shard: str, sources: Iterable[str]) -> dict[str, bytes]:
        """The stored states of these sources, as far as there are any."""

    def due(self, shard: str, clock_us: int, limit: int) -> list[str]:
        """Sources that the clock alone changes something about, the longest due first; -1 is no limit."""


class Codec(NamedTuple, Generic[T]):
    """How states become bytes, and raise BadSetup where they are of another bundle."""

    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]


class StoredStates(Generic[T]):
    """The states of one shard; at most `capacity` of them stay in memory.

    What is kept here must be committed before the next load: the store is read for what is not in memory.
    """

    def __init__(self, store: States, shard: str, codec: Codec[T], capacity: int) -> None:
        """Begin with nothing in memory."""
        self._store = store
        self._shard = shard
        self._codec = codec
        self._capacity = capacity
        self._recent: OrderedDict[str, T] = OrderedDict()

    def load(self, sources: Iterable[str]) -> dict[str, T]:
        """The states of those of the sources that live; the caller may consume them.

        Raises:
            BadSetup: a stored state belongs to another bundle.
        """
        recent, states, unknown = self._recent, dict[str, T](), []
        for source in sources:
            state = recent.get(source)
            if state is None:
                unknown.append(source)
            else:
                states[source] = state
        decode = self._codec.decode
        for source, data in self._store.load(self._shard, unknown).items():
            states[source] = decode(data)
        return states

    def due(self, clock_us: int, limit: int) -> list[str]:
        """Sources that this clock changes something about; ask again after they were dealt with."""
        return self._store.due(self._shard, clock_us, limit)

    def keep(self, states: dict[str, T | None]) -> dict[str, bytes | None]:
        """Remember what a batch left, and give what is to be committed of it."""
        recent, encode = self._recent, self._codec.encode
        encoded: dict[str, bytes | None] = {}
        for source, state in states.items():
            if state is None:
                recent.pop(source, None)
                encoded[source] = None
            else:
                recent[source] = state
                recent.move_to_end(source)
                encoded[source] = encode(state)
        while len(recent) > self._capacity:
            recent.popitem(last=False)
        return encoded
