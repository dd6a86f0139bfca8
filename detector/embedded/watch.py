"""Follow files and keep every effect in the store: one commit a batch. Reads files, writes the store.

Nothing counts before its commit: after a crash the follower begins where the last commit ended.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Protocol

import msgspec

from detector.embedded.core import Core
from detector.embedded.intake import Intake
from detector.embedded.reader import decode_memories, encode_memories
from detector.embedded.stored import StoredStates
from detector.errors import BadSetup
from detector.inputs import batch as inputs
from detector.inputs.follow import Follower
from detector.pipeline import Advance, Batch, advance, sources_of
from detector.records import Reject
from detector.stages.judge.state import decode
from detector.store.contract import Commit, Fence, Store

SHARD = "files"  # one watch is one shard
MAX_DUE = 1000  # sources that one batch takes up because time has passed
ALL_DUE = -1
SECOND_US = 1_000_000


class Bounds(msgspec.Struct, frozen=True):
    """How much is taken up at once, and kept."""

    max_lines: int = 8_192
    max_bytes: int = 4 << 20
    cache_sources: int = 20_000


class Counts(msgspec.Struct):
    """What a watch has done since it started."""

    lines: int = 0
    rejects: int = 0
    commits: int = 0
    alerts: int = 0  # opened
    revisions: int = 0
    ended: int = 0  # sources
    late: int = 0  # lines that came after their life had been closed
    dropped: int = 0  # lines without a source
    lost_bytes: int = 0


def stored_fence(store: Store, core: Core) -> Fence | None:
    """How far the shard has come, with the decode stage's memories given back to the core.

    Raises:
        BadSetup: the state file belongs to another bundle.
    """
    fence = store.fence(SHARD)
    if fence is None:
        return None
    if fence.bundle != core.bundle.id:
        raise BadSetup(
            f"the state file was written with bundle {fence.bundle}, not with {core.bundle.id} "
            f"({core.bundle.path}): give that bundle, or another --state FILE"
        )
    memories = msgspec.msgpack.decode(fence.memory, type=dict[str, bytes])
    core.reader.memories.update(decode_memories(memories))
    return fence


class Watch:
    """One shard at work: every step ends with a commit."""

    def __init__(
        self, core: Core, store: Store, follower: Follower, fence: Fence | None, bounds: Bounds
    ) -> None:
        """Go on from the fence that the follower was made from."""
        self._core, self._store, self._follower, self._bounds = core, store, follower, bounds
        self._intake = Intake(core.reader, core.parser)
        self._states = StoredStates(store, SHARD, core.bundle.id, bounds.cache_sources)
        self._number = 0 if fence is None else fence.number
        self._fence = b"" if fence is None else fence.fence
        self._memory = b"" if fence is None else fence.memory
        self.counts = Counts()
        self.spoke: set[str] = set()  # sources that had a line since this was last emptied

    @property
    def clock_us(self) -> int:
        """The shard's clock: the time of its last lines, 0 before any."""
        return self._intake.clock_us

    def unnamed(self, *, whole: bool) -> str:
        """A sentence where no line names a source although the settings look for one."""
        return self._intake.unnamed(whole=whole)

    def step(self, *, final: bool = False, wait_s: float = 0.0) -> inputs.Batch:
        """Take what has come, and commit what it calls for."""
        bounds = self._bounds
        polled = self._follower.poll(bounds.max_lines, bounds.max_bytes, final=final, wait_s=wait_s)
        self.counts.lost_bytes += sum(loss.lost_bytes for loss in polled.losses)
        if polled.parts or polled.losses or _is_moved(polled):
            parts = ((part.origin, part.records) for part in polled.parts)
            batch = self._intake.together(parts, behind=not polled.at_end)
            if _is_moved(polled):
                self._intake.keep_only({mark["origin"] for mark in polled.fence_after["files"].values()})
            self._fence = msgspec.json.encode(polled.fence_after)
            self._memory = msgspec.msgpack.encode(encode_memories(self._core.reader.memories))
            self._advance(batch)
            self.spoke |= sources_of(batch.lines)
            self.pass_time(batch.clock_us or 0)
        if polled.at_end:
            self.pass_time(self.clock_us)
        return polled

    def pass_time(self, clock_us: int, spare: AbstractSet[str] = frozenset()) -> None:
        """Say what the clock alone calls for, where it calls for something; not of the sources to spare."""
        while self._due(clock_us, 1, spare):
            self._advance(Batch([], [], [], clock_us), spare)

    def has_too_many(self) -> bool:
        """Whether more sources spoke than are kept in memory."""
        return len(self.spoke) > self._bounds.cache_sources

    def _due(self, clock_us: int, limit: int, spare: AbstractSet[str]) -> list[str]:
        return [name for name in self._states.due(clock_us, limit + len(spare)) if name not in spare]

    def open_sources(self) -> int:
        """Count the sources whose life has not ended; reads every stored state."""
        bundle_id = self._core.bundle.id
        return sum(not decode(state, bundle_id).ended for state in self._store.each_state(SHARD))

    def _advance(self, batch: Batch, spare: AbstractSet[str] = frozenset()) -> None:
        """One batch, with what is due by its clock, through the core and into the store."""
        # What a clock called for that went back within the batch cannot be said later: it is taken up whole.
        most = ALL_DUE if batch.falls else MAX_DUE
        names = sorted(sources_of(batch.lines).union(self._due(batch.latest_us, most, spare)))
        core, loaded = self._core, self._states.load(names)
        done = advance(loaded, batch, core.bundle, core.policy, core.explain)
        rejects = self._intake.take_rejects()
        commit = Commit(
            shard=SHARD,
            based_on=self._number,
            bundle=core.bundle.id,
            fence=self._fence,
            memory=self._memory,
            states=self._states.keep(done.states),
            due_us=done.due_us,
            revisions=done.revisions,
            rejects=rejects,
        )
        self._store.commit(commit)
        self._number += 1
        self._count(done, rejects)

    def _count(self, done: Advance, rejects: list[Reject]) -> None:
        counts = self.counts
        counts.lines = self._intake.lines
        counts.rejects += len(rejects)
        counts.commits += 1
        counts.alerts += sum(revision.revision == 1 for revision in done.revisions)
        counts.revisions += len(done.revisions)
        counts.ended += len(done.closed)
        counts.late += done.late
        counts.dropped += done.dropped


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

    At the end of the log the shard's clock goes on with the wall clock, so that what ended or fell silent
    is said; never at the end of input that ends.
    """
    quiet_s = still_s = None  # since when: no line at the end of the log, and no line that moved the clock
    clock_us, polled = watch.clock_us, None
    while not waiting.wait(0):
        polled = watch.step(final=once, wait_s=poll_s)
        after(polled)
        if once and polled.at_end and not polled.stdin_open:
            break
        now_s = waiting.now_s()
        if polled.parts or not polled.at_end or quiet_s is None:
            quiet_s = now_s if polled.at_end else None
        if watch.clock_us != clock_us or not polled.at_end or still_s is None or watch.has_too_many():
            still_s, clock_us = now_s if polled.at_end else None, watch.clock_us
            watch.spoke.clear()
        _tick(watch, quiet_s, still_s, now_s)
        if polled.at_end and not polled.stdin_open:
            waiting.wait(poll_s)
    return polled


def _tick(watch: Watch, quiet_s: float | None, still_s: float | None, now_s: float) -> None:
    """Let the shard's clock go on, for every source since the last line.

    Lines without stamps, or with one stamp for ever, move no clock, and must not keep the others from ending:
    for sources that have said nothing since the clock last moved it goes on from there.
    """
    if quiet_s is not None and now_s > quiet_s:
        watch.pass_time(watch.clock_us + round((now_s - quiet_s) * SECOND_US))
    if still_s is not None and watch.spoke:
        watch.pass_time(watch.clock_us + round((now_s - still_s) * SECOND_US), watch.spoke)
