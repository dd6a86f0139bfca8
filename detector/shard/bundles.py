"""The bundle that is in use, and the one that is to be. Reads bundles from disk.

`bundle.path` is a directory, or better a link to one: whoever sets the link to another directory has the
bundle in it taken up. The directory of the one before has to stay until no source is left to it.
"""

import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from detector.bundle import identify
from detector.errors import BadSetup
from detector.shard import remembered
from detector.shard.core import Core
from detector.store.contract import Fence

MOST_LOADED = 4  # bundles at hand for shards that are still at them

_log: Final = structlog.get_logger("bundles")


class Cores(NamedTuple):
    """What a shard goes on with."""

    core: Core
    before: Core | None = None  # of the bundle before, while sources are judged by it


class Bundles:
    """The newest core, and those of the bundles that fences name."""

    def __init__(
        self,
        core: Core,
        *,
        poll_s: float = inf,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[Core], None] = lambda _: None,
    ) -> None:
        """Look every `poll_s` seconds of the clock where this core's bundle was; `told` learns of a newer."""
        self._newest, self._path = core, core.bundle.path
        self._poll_s, self._clock, self._told = poll_s, clock, told
        self._due_s = clock() + poll_s
        self._loaded = {core.bundle.id: core}
        self._refused = ""

    def newest(self) -> Core:
        """The core of the newest bundle that can be used; looks at the disk if it is time again."""
        if self._clock() >= self._due_s:
            try:
                self._look()
            except BadSetup as error:
                self._refuse(str(error))
            self._due_s = self._clock() + self._poll_s
        return self._newest

    def of(self, fence: Fence, whose: str) -> Cores:
        """The cores that a fence names; `whose` begins a sentence about its states.

        Raises:
            BadSetup: its bundle cannot be loaded, or the newest cannot succeed it.
        """
        known, (bundle_id, before_id) = remembered.of_fence(fence), remembered.bundles_of(fence)
        try:
            core = self._core(bundle_id, known.where)
            check_succession(core, self._newest)
        except BadSetup as error:
            newest = self._newest.bundle
            raise BadSetup(
                f"{whose} belong to bundle {bundle_id}, not to {newest.id} ({newest.path}), which cannot "
                f"take them over: {error}"
            ) from error
        before = known.succession
        if before_id is None or before is None:
            return Cores(core)
        try:
            return Cores(core, self._core(before_id, before.where))
        except BadSetup as error:
            _log.error("bundle before is gone", bundle=bundle_id, before=before_id, reason=str(error))
            return Cores(core)

    def _look(self) -> None:
        bundle_id = identify(self._path)
        if bundle_id == self._newest.bundle.id:
            self._refused = ""
            return
        core = self._loaded.get(bundle_id) or self._newest.again(self._path.resolve())
        check_succession(self._newest, core)
        self._keep(core)
        self._newest, self._refused = core, ""
        self._told(core)

    def _refuse(self, reason: str) -> None:
        """Say it once; it is tried again, as it may be a copy under way."""
        if reason != self._refused:
            self._refused = reason
            _log.warning("bundle refused", reason=reason, going_on_with=self._newest.bundle.id)

    def _core(self, bundle_id: str, where: str) -> Core:
        if bundle_id in self._loaded:
            return self._loaded[bundle_id]
        if not where:
            raise BadSetup(f"where {bundle_id} lies is not known")
        found = identify(Path(where))
        if found != bundle_id:
            raise BadSetup(f"{where} holds bundle {found} now")
        core = self._newest.again(Path(where))
        self._keep(core)
        return core

    def _keep(self, core: Core) -> None:
        self._loaded[core.bundle.id] = core
        while len(self._loaded) > MOST_LOADED:
            del self._loaded[next(one for one in self._loaded if one != self._newest.bundle.id)]


def check_succession(old: Core, new: Core) -> None:
    """Refuse a bundle that would call the same sources by other names.

    Raises:
        BadSetup: names the setting.
    """
    for name in ("session", "source_fields", "source_regex", "sequence_rows", "rotated"):
        before, after = getattr(old.input, name), getattr(new.input, name)
        if before != after:
            raise BadSetup(
                f"{new.bundle.path} was trained with input.{name} {after!r}, bundle {old.bundle.id} with "
                f"{before!r}: its sources are others"
            )
