"""A bounded copy of a shard's states, for its one writer. Memory only."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping


class Recent:
    """The states that were read or written last.

    They are what Redis holds while this process is the shard's writer; later its commits are refused.
    """

    def __init__(self, capacity: int) -> None:
        """Begin with nothing."""
        self._capacity = capacity
        self._states: OrderedDict[str, bytes] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._states)

    def split(self, sources: Iterable[str]) -> tuple[dict[str, bytes], list[str]]:
        """The states that are here, and the sources that are not."""
        found: dict[str, bytes] = {}
        missing = []
        for source in sources:
            state = self._states.get(source)
            if state is None:
                missing.append(source)
            else:
                self._states.move_to_end(source)
                found[source] = state
        return found, missing

    def keep(self, states: Mapping[str, bytes | None]) -> None:
        """Take what was read or written; None is gone."""
        for source, state in states.items():
            if state is None:
                self._states.pop(source, None)
            else:
                self._states[source] = state
                self._states.move_to_end(source)
        while len(self._states) > self._capacity:
            self._states.popitem(last=False)
