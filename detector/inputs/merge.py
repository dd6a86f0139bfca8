"""Merge several feeds by event time, keeping each feed's own order. No I/O.

A feed's key is the largest time it has shown so far, so that a late line, or one without a time,
stays where its feed has it. Equal keys go by the order of the feeds.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from detector.errors import Unreadable

_BEFORE_ALL = -(1 << 63)  # lines before a feed's first time stamp come first


_Item = TypeVar("_Item")


class _Feed(Generic[_Item]):
    """One feed: the batch in hand and the key of each of its items."""

    __slots__ = ("_batches", "_time_of", "items", "keys", "start")

    def __init__(self, batches: Iterable[Sequence[_Item]], time_of: Callable[[_Item], int | None]) -> None:
        self._batches = iter(batches)
        self._time_of = time_of
        self.items: Sequence[_Item] = []
        self.keys = [_BEFORE_ALL]
        self.start = 0

    def load(self) -> bool:
        """Take the next batch that is not empty; False at the end."""
        for items in self._batches:
            if items:
                times = (_BEFORE_ALL if (at := self._time_of(item)) is None else at for item in items)
                self.items, self.start = items, 0
                self.keys = list(accumulate(times, max, initial=self.keys[-1]))[1:]
                return True
        return False

    def take(self, until: int, *, including: bool) -> Sequence[_Item]:
        """The items up to another feed's key."""
        find = bisect_right if including else bisect_left
        start, self.start = self.start, find(self.keys, until, self.start)
        return self.items[start : self.start]


def merge(
    feeds: Iterable[Iterable[Sequence[_Item]]],
    time_of: Callable[[_Item], int | None],
    *,
    max_items: int = 8192,
) -> Iterator[list[_Item]]:
    """All items in the order of their keys, in batches of about `max_items`.

    Holds one batch of each feed: choose the feeds' batches with that in mind.
    """
    opened = [_Feed(batches, time_of) for batches in feeds]
    waiting = [(feed.keys[0], number) for number, feed in enumerate(opened) if feed.load()]
    heapq.heapify(waiting)
    batch: list[_Item] = []
    while waiting:
        batch += _run(opened, waiting)
        if len(batch) >= max_items:
            yield batch
            batch = []
        try:
            _advance(opened, waiting)
        except Unreadable:
            yield batch  # a damaged file still gives all that came before
            raise
    if batch:
        yield batch


def _run(opened: list[_Feed[_Item]], waiting: list[tuple[int, int]]) -> Sequence[_Item]:
    """The longest run of the first feed that comes before all others."""
    number = waiting[0][1]
    feed = opened[number]
    if len(waiting) == 1:
        return feed.take(feed.keys[-1], including=True)
    until, other = min(waiting[1:3])  # the runner-up is a child of the heap's root
    return feed.take(until, including=number < other)


def _advance(opened: list[_Feed[_Item]], waiting: list[tuple[int, int]]) -> None:
    """Move the first feed to where its next item belongs, or out."""
    number = waiting[0][1]
    feed = opened[number]
    if feed.start < len(feed.items) or feed.load():
        heapq.heapreplace(waiting, (feed.keys[feed.start], number))
    else:
        heapq.heappop(waiting)
