"""Events on disk while a corpus is read, then grouped by source: memory does not follow the input's size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 18  # events handled at once
NO_TIME = -1

EVENT = np.dtype(
    [
        ("source", np.int32),
        ("token", np.int32),
        ("time", np.int64),  # microseconds, NO_TIME where there is none
        ("origin", np.int32),
        ("offset", np.int64),
    ]
)


@dataclass(frozen=True, slots=True)
class Grouped:
    """All events, each source's together and in order; `starts` [S+1] says where a source's begin."""

    events: npt.NDArray[np.void]  # mapped from a file
    starts: npt.NDArray[np.int64]

    def of(self, source: int) -> npt.NDArray[np.void]:
        """The events of one source."""
        return self.events[self.starts[source] : self.starts[source + 1]]


class Spool:
    """A file that events are appended to in the order of arrival."""

    def __init__(self, folder: Path) -> None:
        """Begin an empty file in an existing folder."""
        self._folder = folder
        self._file = (folder / "arrival").open("wb")
        self._counts = np.zeros(1024, np.int64)
        self.events = 0

    def append(self, events: npt.NDArray[np.void]) -> None:
        """Add events."""
        if not len(events):
            return
        self._file.write(events.tobytes())
        self.events += len(events)
        largest = int(events["source"].max())
        while largest >= len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._counts += np.bincount(events["source"], minlength=len(self._counts))

    def count(self, sources: Iterable[int]) -> int:
        """How many events these sources have."""
        return int(self._counts[np.fromiter(sources, np.int64)].sum())

    def grouped(self, sources: Sequence[int], most: int | None = None) -> Grouped:
        """Group these sources' events, block by block, into a second file; the first is removed.

        Of more than `most` events the newest are taken.
        """
        self._file.close()
        skip = 0 if most is None else max(0, self.events - most)
        place = np.full(len(self._counts), -1, np.int64)
        place[list(sources)] = np.arange(len(sources))
        counts = np.zeros(len(sources), np.int64)
        for block in self._kept(place, skip):
            counts += np.bincount(place[block["source"]], minlength=len(sources))
        starts = np.concatenate([[0], np.cumsum(counts)])
        if not starts[-1]:
            return Grouped(np.empty(0, EVENT), starts)
        path = self._folder / "grouped"
        grouped = np.memmap(path, EVENT, "w+", shape=(int(starts[-1]),))
        free = starts[:-1].copy()
        for block in self._kept(place, skip):
            block["source"] = place[block["source"]]
            _scatter(grouped, block, free)
        grouped.flush()
        (self._folder / "arrival").unlink()
        return Grouped(np.memmap(path, EVENT, "r", shape=grouped.shape), starts)

    def _kept(self, place: npt.NDArray[np.int64], skip: int) -> Iterator[npt.NDArray[np.void]]:
        """The events of sources that have a place, in the order of arrival."""
        with (self._folder / "arrival").open("rb") as file:
            file.seek(skip * EVENT.itemsize)
            while len(block := np.fromfile(file, EVENT, BLOCK)):
                yield block[place[block["source"]] >= 0]


def _scatter(grouped: npt.NDArray[np.void], block: npt.NDArray[np.void], free: npt.NDArray[np.int64]) -> None:
    """Put each source's events behind those that are there; `free` [S] moves on."""
    order = np.argsort(block["source"], kind="stable")
    names, first, many = np.unique(block["source"][order], return_index=True, return_counts=True)
    within = np.arange(len(block)) - np.repeat(first, many)
    grouped[np.repeat(free[names], many) + within] = block[order]
    free[names] += many


def cut_lives(grouped: Grouped, idle_us: int | None, sources: Sequence[int]) -> list[tuple[int, int]]:
    """Where each life of these sources begins and ends in the grouped events: a long gap starts another."""
    lives: list[tuple[int, int]] = []
    for source in sources:
        start, stop = int(grouped.starts[source]), int(grouped.starts[source + 1])
        times = grouped.events["time"][start:stop]
        if idle_us is None or stop - start < 2 or (times == NO_TIME).any():  # noqa: PLR2004  (one has no gap)
            lives.append((start, stop))
            continue
        newest = np.maximum.accumulate(times)
        cuts = (np.flatnonzero(times[1:] - newest[:-1] > idle_us) + 1 + start).tolist()
        lives += zip([start, *cuts], [*cuts, stop], strict=True)
    return lives


def largest_gaps(grouped: Grouped, sources: Sequence[int]) -> npt.NDArray[np.int64]:
    """The largest gap within each of these sources, microseconds, for those with times."""
    gaps = []
    for source in sources:
        times = grouped.of(source)["time"]
        if len(times) > 1 and (times != NO_TIME).all():
            gaps.append(int(np.diff(np.maximum.accumulate(times)).max()))
    return np.array(gaps, np.int64)
