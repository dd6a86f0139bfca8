"""Number the sources of a corpus; of very many sessions a random part is kept. No I/O.

Memory follows the sources that are kept, not the ones that are read: 8 bytes remain of each other one.
"""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

NOT_KEPT = -1
LEAST_COUNTED = 65_536  # digests that wait to be merged
_DIGEST_BITS = 64


class Names:
    """Which number each source has. Which are kept depends on their names alone, never on their order."""

    def __init__(self, most: int | None = None) -> None:
        """Keep all, or between `most` and half of it once there are more."""
        self.kept: dict[str, int] = {}
        self._most = most
        self._limit = 1 << _DIGEST_BITS
        self._given = 0
        self._others = _Distinct()

    def __len__(self) -> int:
        """How many sources there are, kept or not."""
        return len(self.kept) + len(self._others)

    def number(self, name: str) -> int:
        """The number of a source; NOT_KEPT where it is left out."""
        found = self.kept.get(name)
        return self._new(name) if found is None else found

    def thin(self) -> None:
        """Keep about half of the sources from here on."""
        self._limit >>= 1
        digests = {name: _digest(name) for name in self.kept}
        gone = [name for name, digest in digests.items() if digest >= self._limit]
        for name in gone:
            del self.kept[name]
        self._others.add(digests[name] for name in gone)

    def _new(self, name: str) -> int:
        if self._limit < 1 << _DIGEST_BITS and (digest := _digest(name)) >= self._limit:
            self._others.add([digest])
            return NOT_KEPT
        self.kept[name] = self._given
        self._given += 1
        if self._most is not None and len(self.kept) > self._most:
            self.thin()
        return self.kept.get(name, NOT_KEPT)


def _digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class _Distinct:
    """Counts different numbers of 64 bits."""

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.uint64)
        self._waiting: set[int] = set()

    def add(self, numbers: Iterable[int]) -> None:
        self._waiting.update(numbers)
        if len(self._waiting) > max(LEAST_COUNTED, len(self._sorted) // 4):
            self._merge()

    def __len__(self) -> int:
        self._merge()
        return len(self._sorted)

    def _merge(self) -> None:
        waiting = np.fromiter(self._waiting, np.uint64, len(self._waiting))
        self._sorted = np.union1d(self._sorted, waiting)
        self._waiting = set()
