"""Follow files and keep every effect in the store: one commit a batch. Reads files, writes the store.

Nothing counts before its commit: after a crash the follower begins where the last commit ended.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from detector.inputs import batch as inputs
from detector.inputs.follow import Follower
from detector.metrics.committed import Told, nobody
from detector.pipeline import sources_of
from detector.shard.bundles import Bundles, Cores
from detector.shard.core import Core
from detector.shard.stored import ROOM_BYTES, Room
from detector.shard.work import Counts, ShardWork
from detector.store.contract import Fence, Store

SHARD = "files"  # one watch is one shard
SECOND_US = 1_000_000


class Bounds(msgspec.Struct, frozen=True):
    """How much is taken up at once, and kept."""

    max_lines: int = 8_192
    max_bytes: int = 4 << 20
    cache_sources: int = 20_000
    cache_bytes: int = ROOM_BYTES


class Watch:
    """Followed files at work: every step ends with a commit."""

    def __init__(
        self,
        core: Core,
        store: Store,
        follower: Follower,
        fence: Fence | None,
        bounds: Bounds,
        told: Told = nobody,
        bundles: Bundles | None = None,
    ) -> None:
        """Go on from the fence that the follower was made from; `told` learns of every commit.

        Raises:
            BadSetup: the fence belongs to a bundle that is gone, or that this one cannot succeed.
        """
        self._bundles = bundles or Bundles(core)
        cores = Cores(core) if fence is None else self._bundles.of(fence, "the states in the state file")
        self.work = ShardWork(
            cores.core,
            store,
            SHARD,
            fence,
            room=Room(bounds.cache_sources, bounds.cache_bytes),
            told=told,
            before=cores.before,
            traces=True,
        )
        self._follower, self._bounds = follower, bounds
        self.spoke: set[str] = set()  # sources that had a line since this was last emptied

    @property
    def counts(self) -> Counts:
        """What was done since the start."""
        return self.work.counts

    def step(self, *, final: bool = False, wait_s: float = 0.0) -> inputs.Batch:
        """Take what has come, and commit what it calls for."""
        bounds, work = self._bounds, self.work
        work.upgrade(self._bundles.newest())
        polled = self._follower.poll(bounds.max_lines, bounds.max_bytes, final=final, wait_s=wait_s)
        if polled.parts or polled.losses or _is_moved(polled):
            parts = ((part.origin, part.records) for part in polled.parts)
            batch = work.intake.together(parts, polled.unread)
            if _is_moved(polled):
                work.intake.keep_only({mark["origin"] for mark in polled.fence_after["files"].values()})
            work.take(batch, msgspec.json.encode(polled.fence_after))
            self.spoke |= sources_of(batch.lines)
        work.pass_time(work.intake.closing_us(polled.unread))
        return polled

    def has_too_many(self) -> bool:
        """Whether more sources spoke than are kept in memory."""
        return len(self.spoke) > self._bounds.cache_sources


def _is_moved(polled: inputs.Batch) -> bool:
    """Whether the fence is news although nothing was read: which contents there are, not how they look."""
    before = polled.fence_before.get("files")
    return before is None or before.keys() != polled.fence_after["files"].keys()


class Waiting(Protocol):
    """How a watch learns of time, and that it is to end."""

    def now_s(self) -> float:
        """A clock that only goes forward."""

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until the watch is to end; whether it is to end."""


def follow(
    watch: Watch, waiting: Waiting, *, poll_s: float, once: bool, after: Callable[[inputs.Batch], None]
) -> inputs.Batch | None:
    """Follow until told to end, or with `once` to the end of what there is; gives what was read last.

    At the end of the log the shard's clocks go on with the wall clock, so that what ended or fell silent
    is said; never at the end of input that ends: by then the newest clock has said what it calls for.
    """
    quiet_s = still_s = None  # since when: no line at the end of the log, and no line that moved the clock
    clock_us, polled = watch.work.intake.closing_us(), None
    while not waiting.wait(0):
        polled = watch.step(final=once, wait_s=poll_s)
        after(polled)
        if once and polled.at_end and not polled.stdin_open:
            watch.work.pass_time(watch.work.clock_us)
            break
        now_s = waiting.now_s()
        if polled.parts or not polled.at_end or quiet_s is None:
            quiet_s = now_s if polled.at_end else None
        moved_us = watch.work.intake.closing_us(polled.unread)
        if moved_us != clock_us or not polled.at_end or still_s is None or watch.has_too_many():
            still_s, clock_us = now_s if polled.at_end else None, moved_us
            watch.spoke.clear()
        _tick(watch, quiet_s, still_s, now_s)
        if polled.at_end and not polled.stdin_open:
            waiting.wait(poll_s)
    return polled


def _tick(watch: Watch, quiet_s: float | None, still_s: float | None, now_s: float) -> None:
    """Let the shard's clocks go on, for every source since the last line.

    Lines without stamps, or with one stamp for ever, move no clock, and must not keep the others from ending:
    for sources that have said nothing since the clock last moved it goes on from there.
    """
    if quiet_s is not None and now_s > quiet_s:
        watch.work.pass_time(_closing_us(watch, now_s - quiet_s))
    if still_s is not None and watch.spoke:
        watch.work.pass_time(_closing_us(watch, now_s - still_s), watch.spoke)


def _closing_us(watch: Watch, passed_s: float) -> int:
    return watch.work.intake.closing_us(passed_us=round(passed_s * SECOND_US))
