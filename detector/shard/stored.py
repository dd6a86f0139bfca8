"""States of sources in a store, the recent ones in memory too. Reads the store; a commit writes to it."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar
from weakref import WeakSet

T = TypeVar("T")

ROOM_BYTES: Final = 128 << 20


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
    memory_bytes: Callable[[T], int]  # that a decoded one takes, roughly


class Room:
    """The memory that states of all shards of a process may take: each shard has an equal part.

    A worker may come to have many more shards than usual, when others are gone.
    """

    def __init__(self, sources: int, max_bytes: int = ROOM_BYTES) -> None:
        """So many sources of each shard, and so many bytes of all."""
        self.sources, self._max_bytes = sources, max_bytes
        self._shards: WeakSet[StoredStates[Any]] = WeakSet()

    @property
    def part_bytes(self) -> int:
        """What one shard may take."""
        return self._max_bytes // max(1, len(self._shards))

    def join(self, states: "StoredStates[Any]") -> None:
        """Let another shard in; it leaves when nobody uses it any more."""
        self._shards.add(states)
        for one in self._shards:
            one.shrink()


class StoredStates(Generic[T]):
    """The states of one shard; as many of them stay in memory as there is room for.

    What is kept here must be committed before the next load: the store is read for what is not in memory.
    """

    def __init__(self, store: States, shard: str, codec: Codec[T], room: Room) -> None:
        """Begin with nothing in memory."""
        self._store = store
        self._shard = shard
        self._codec = codec
        self._room = room
        self._recent: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._bytes = 0
        room.join(self)

    @property
    def memory_bytes(self) -> int:
        """What those in memory take, roughly."""
        return self._bytes

    def load(self, sources: Iterable[str]) -> dict[str, T]:
        """The states of those of the sources that live, with one read; the caller may consume them.

        Raises:
            BadSetup: a stored state belongs to another bundle.
        """
        recent, states, unknown = self._recent, dict[str, T](), []
        for source in sources:
            found = recent.get(source)
            if found is None:
                unknown.append(source)
            else:
                states[source] = found[0]
        decode = self._codec.decode
        for source, data in self._store.load(self._shard, unknown).items() if unknown else ():
            states[source] = decode(data)
        return states

    def due(self, clock_us: int, limit: int) -> list[str]:
        """Sources that this clock changes something about; ask again after they were dealt with."""
        return self._store.due(self._shard, clock_us, limit)

    def keep(self, states: dict[str, T | None]) -> dict[str, bytes | None]:
        """Remember what a batch left, and give what is to be committed of it."""
        recent, encode, memory_bytes = self._recent, self._codec.encode, self._codec.memory_bytes
        encoded: dict[str, bytes | None] = {}
        taken = 0
        for source, state in states.items():
            before = recent.pop(source, None)
            taken -= 0 if before is None else before[1]
            if state is None:
                encoded[source] = None
            else:
                size = len(source) + memory_bytes(state)
                recent[source] = state, size
                taken += size
                encoded[source] = encode(state)
        self._bytes += taken
        self.shrink()
        return encoded

    def shrink(self) -> None:
        """Forget the oldest beyond what there is room for."""
        recent, sources, room_bytes = self._recent, self._room.sources, self._room.part_bytes
        while recent and (len(recent) > sources or self._bytes > room_bytes):
            _, (_, size) = recent.popitem(last=False)
            self._bytes -= size
