"""What judges the sources of a shard: one bundle, or for a while two. Reads the store.

Both give the same: what a batch did, and the bytes of the states that it left.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import NamedTuple, Protocol

import msgspec

from detector.pipeline import Advance, Batch, advance, forget
from detector.records import Line, Record, ScoredEvent
from detector.shard import remembered, sides
from detector.shard.core import Core
from detector.shard.reader import decode_memories, encode_memories
from detector.shard.remembered import Succession
from detector.shard.sides import Sides, handed_over, retire
from detector.shard.stored import Codec, Room, States, StoredStates
from detector.shard.succession import Pair, advance_both
from detector.stages.header import header
from detector.stages.judge import closing, state
from detector.stages.judge.lives import is_wanted


class Judged(NamedTuple):
    """What a batch came to."""

    done: Advance
    states: dict[str, bytes | None]
    appeared: int  # sources that have a state now, less those that had one
    score_s: float = 0.0
    scored: Sequence[tuple[Core, list[ScoredEvent]]] = ()  # events with their tokens' core, where wanted


class Place(NamedTuple):
    """Where the states of a shard lie."""

    store: States
    shard: str
    room: Room  # in memory


class Judging(Protocol):
    """Takes sources through batches; every call is followed by a commit of what it gives."""

    @property
    def also(self) -> Callable[[str, list[Record]], None] | None:
        """What is to be shown every record that is read."""

    def named(self) -> str:
        """The bundles that a commit belongs to."""

    def succession(self, origins: Iterable[str]) -> Succession | None:
        """What a start needs of the bundle before, where that is in use; of these origins."""

    def due(self, clock_us: int, limit: int) -> list[str]:
        """Sources that this clock changes something about."""

    def advance(self, names: Sequence[str], batch: Batch) -> Judged:
        """Advance these sources, which are those of the batch and those that are due, by the batch."""

    def forget(self, names: Sequence[str], clock_us: int | None) -> Judged:
        """Let sources go unjudged."""

    def is_open(self, data: bytes) -> bool:
        """Whether a stored state is of a life that has not ended."""


class Alone:
    """One bundle."""

    def __init__(self, core: Core, place: Place) -> None:
        """Begin with no state in memory."""
        self._core = core
        bundle_id = core.bundle.id
        codec = Codec(
            partial(state.encode, bundle_id=bundle_id),
            partial(state.decode, bundle_id=bundle_id),
            state.memory_bytes,
        )
        self._states = StoredStates(place.store, place.shard, codec, place.room)

    @property
    def also(self) -> None:
        """Nobody but the one reader."""

    def named(self) -> str:
        """The bundle's id."""
        return self._core.bundle.id

    def succession(self, origins: Iterable[str]) -> None:
        """There is no bundle before."""

    def due(self, clock_us: int, limit: int) -> list[str]:
        """Sources that this clock changes something about."""
        return self._states.due(clock_us, limit)

    def advance(self, names: Sequence[str], batch: Batch) -> Judged:
        """Advance these sources by the batch."""
        core, loaded = self._core, self._states.load(names)
        began_s = perf_counter()
        done = advance(loaded, batch, core.bundle, core.policy, core.explain)
        score_s = perf_counter() - began_s
        return Judged(
            done,
            self._states.keep(done.states),
            _appeared(done.states, loaded),
            score_s,
            [(core, done.events)],
        )

    def forget(self, names: Sequence[str], clock_us: int | None) -> Judged:
        """Let sources go unjudged."""
        loaded = self._states.load(names)
        done = forget(loaded, clock_us)
        return Judged(done, self._states.keep(done.states), -len(loaded))

    def is_open(self, data: bytes) -> bool:
        """Whether a stored state is of a life that has not ended."""
        return not state.decode(data, self._core.bundle.id).ended


class Both:
    """A bundle, and the one before it for the sources that it still judges."""

    def __init__(self, old: Core | None, new: Core, old_id: str, before: Succession, place: Place) -> None:
        """Go on from what was committed; without the older bundle all that is left is to `give_up`."""
        self._old, self._new, self._old_id, self._before = old, new, old_id, before
        new_id = new.bundle.id
        codec = Codec(
            partial(sides.encode, old=old_id, new=new_id),
            partial(sides.decode, old=old_id, new=new_id),
            sides.memory_bytes,
        )
        self._states = StoredStates(place.store, place.shard, codec, place.room)
        self.left = before.left
        self._read_before: dict[tuple[str, int, int], Line] = {}
        self._reader = None
        if old is not None:
            self._pair = Pair(old, new, before.until_us, self._as_before)
            if not _reads_alike(old, new):
                self._reader = old.new_reader()
                self._reader.memories.update(decode_memories(before.memories))

    @property
    def is_lost(self) -> bool:
        """Whether the older bundle is gone."""
        return self._old is None

    @property
    def also(self) -> Callable[[str, list[Record]], None] | None:
        """What is to be shown every record too: the older bundle may see other messages in them."""
        return None if self._reader is None else self._read

    def named(self) -> str:
        """Both ids, or the newer one's once no source is left for the older."""
        return remembered.named(self._new.bundle.id, self._old_id if self.left else None)

    def succession(self, origins: Iterable[str]) -> Succession | None:
        """What a start needs of the bundle before; of these origins."""
        if not self.left:
            return None
        memories = self._before.memories
        if self._reader is not None:
            known = self._reader.memories
            memories = encode_memories({origin: known[origin] for origin in origins if origin in known})
        return msgspec.structs.replace(self._before, memories=memories, left=self.left)

    def due(self, clock_us: int, limit: int) -> list[str]:
        """Sources that this clock changes something about."""
        return self._states.due(clock_us, limit)

    def advance(self, names: Sequence[str], batch: Batch) -> Judged:
        """Advance these sources by the batch, each by the bundle that it is with."""
        loaded = self._states.load(names)
        left, appeared = _left(loaded), loaded.keys()
        began_s = perf_counter()
        after, told = advance_both(loaded, batch, self._pair)
        score_s = perf_counter() - began_s
        if batch.lines:  # else they are still to come: the time is passed before them
            self._read_before.clear()
        self.left += _left(after) - left
        scored = [(self._pair.old, told.old.events), (self._pair.new, told.new.events)]
        return Judged(told.together(), self._states.keep(after), _appeared(after, appeared), score_s, scored)

    def forget(self, names: Sequence[str], clock_us: int | None) -> Judged:
        """Let sources go unjudged."""
        loaded = self._states.load(names)
        self.left -= _left(loaded)
        said = {source: one.old or one.new for source, one in loaded.items()}
        done = forget({source: one for source, one in said.items() if one is not None}, clock_us)
        return Judged(done, self._states.keep(dict.fromkeys(loaded)), -len(loaded))

    def give_up(self, names: Sequence[str], clock_us: int) -> Judged:
        """Let the newer bundle go on with sources of the older one, from what it has of them itself."""
        policy, loaded = self._new.policy, self._states.load(names)
        done = Advance({}, {}, [], [], [], 0, 0)
        kept: dict[str, Sides | None] = {}
        for source, one in loaded.items():
            if one.old is None:
                continue
            self.left -= 1
            done.revisions += retire(one.old, None)
            after = handed_over(one.old, one.new)
            kept[source] = None
            if after is not None and (not after.ended or is_wanted(after, clock_us, policy)):
                kept[source], done.due_us[source] = Sides(None, after), closing.due_us(after, policy)
        return Judged(done, self._states.keep(kept), _appeared(kept, kept.keys()))

    def is_open(self, data: bytes) -> bool:
        """Whether a stored state is of a life that has not ended."""
        one = sides.decode(data, self._old_id, self._new.bundle.id)
        return one.old is not None or (one.new is not None and not one.new.ended)

    def _read(self, origin: str, records: list[Record]) -> None:
        if self._reader is None:
            return
        for line, _ in self._reader.read(origin, records).lines:
            if not line.continuation:
                self._read_before[line.origin, line.offset, line.sub] = line

    def _as_before(self, lines: list[Line]) -> list[Line]:
        """The newer bundle's lines, with what the older one reads in them."""
        found = self._read_before
        if not found:
            return lines
        read = (found.get((line.origin, line.offset, line.sub), line) for line in lines)
        return [
            line
            if line.continuation
            else msgspec.structs.replace(line, message=one.message, level=one.level, text=one.text)
            for line, one in zip(lines, read, strict=True)
        ]


def _left(found: Mapping[str, Sides | None]) -> int:
    """How many of these the older bundle judges."""
    return sum(one is not None and one.old is not None for one in found.values())


def _appeared(after: Mapping[str, object], before: Container[str]) -> int:
    return sum((kept is not None) - (name in before) for name, kept in after.items())


def _reads_alike(old: Core, new: Core) -> bool:
    """Whether both see the same message in every line."""
    settings = [msgspec.structs.replace(core.input, idle_timeout_s=None) for core in (old, new)]
    headers = [header.to_json(core.headers) for core in (old, new)]
    return settings[0] == settings[1] and headers[0] == headers[1]
