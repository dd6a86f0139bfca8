"""The traces in each log of a shard: lines in, alerts and what is to be committed out. No I/O.

Each log has a state of its own, so that what is said of it depends on the order of its own lines alone, not
on how the lines of several logs happened to come together.
"""

from collections.abc import Container, Mapping

from detector.pipeline import Batch
from detector.records import Revision
from detector.shard.core import Core
from detector.stages.judge import hop_state, hops
from detector.stages.judge.hop_state import HopState
from detector.stages.judge.hops import HopPolicy


class Hops:
    """Judges the lines that name a trace; with a bundle that learnt of none, only ends what is firing."""

    def __init__(self, core: Core, stored: Mapping[str, bytes]) -> None:
        """Go on from what was committed."""
        self._stored = dict(stored)
        self._bundle_id, self._policy = core.bundle.id, policy_of(core)
        self._states = {log: hop_state.decode(data, core.bundle.id) for log, data in stored.items()}
        self._changed: set[str] = set()

    def take(self, batch: Batch) -> list[Revision]:
        """Take the lines of a batch."""
        if self._policy is None:
            return self.keep_only(())
        said: list[Revision] = []
        for line, token, clock_us in zip(batch.lines, batch.tokens, batch.clocks, strict=True):
            if line.trace and line.source and not line.continuation:
                state = self._states.get(line.origin)
                if state is None:
                    state = self._states[line.origin] = HopState()
                said += hops.follow(state, line, token, clock_us, self._policy)
                self._changed.add(line.origin)
        return said

    def pass_time(self, now_us: int) -> list[Revision]:
        """Resolve what is over by now."""
        said: list[Revision] = []
        if self._policy is not None:
            for log, state in self._states.items():
                if state.alerts and (over := hops.pass_time(state, now_us, self._policy)):
                    self._changed.add(log)
                    said += over
        return said

    def keep_only(self, logs: Container[str]) -> list[Revision]:
        """Forget the logs that are over, and resolve their alerts."""
        said: list[Revision] = []
        for log in [log for log in self._states if log not in logs]:
            said += hops.give_up(self._states.pop(log))
            self._stored.pop(log, None)
            self._changed.discard(log)
        return said

    def finish(self) -> list[Revision]:
        """Judge what still waits, and resolve every alert: nothing comes any more."""
        said: list[Revision] = []
        if self._policy is not None:
            for state in self._states.values():
                said += hops.flush(state, self._policy)
        return said + self.keep_only(())

    def encoded(self) -> dict[str, bytes]:
        """What is to be committed, by log."""
        for log in self._changed:
            self._stored[log] = hop_state.encode(self._states[log], self._bundle_id)
        self._changed.clear()
        return self._stored


def policy_of(core: Core) -> HopPolicy | None:
    """The rule of a bundle, where its training met traces that go from source to source."""
    learnt = core.policy.calibration.hops
    if learnt is None:
        return None
    return HopPolicy(learnt, core.policy.resolve_us, core.policy.naming, core.explain)
