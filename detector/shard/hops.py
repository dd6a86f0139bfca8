"""The traces in each log of a shard: lines in, alerts and what is to be committed out. No I/O.

Each log has a state of its own, so that what is said of it depends on the order of its own lines alone, not
on how the lines of several logs happened to come together.
"""

from collections.abc import Container, Mapping

from detector.pipeline import Batch
from detector.records import Line, Revision
from detector.shard.core import Core
from detector.stages.judge import hop_state, hops
from detector.stages.judge.hop_state import HopState
from detector.stages.judge.hops import OVER_US, HopPolicy

MAX_LOGS = 64  # whose traces are remembered at a time; of one source each, there may be more


class Hops:
    """Judges the lines that name a trace; with a bundle that learnt of none, only ends what is firing."""

    def __init__(self, core: Core, stored: Mapping[str, bytes]) -> None:
        """Go on from what was committed."""
        self._bundle_id, self._policy = core.bundle.id, policy_of(core)
        self._states = {log: hop_state.decode(data, core.bundle.id) for log, data in stored.items()}
        self._several = {log: state for log, state in self._states.items() if state.several}
        self._changed: set[str] = set()

    def take(self, batch: Batch) -> list[Revision]:
        """Take the lines of a batch; each tells its log's time, whether it names a trace or not."""
        if self._policy is None:
            return self.keep_only(())
        said: list[Revision] = []
        for line, token, clock_us in zip(batch.lines, batch.tokens, batch.clocks, strict=True):
            state = self._several.get(line.origin)
            if state is not None and hops.is_due(state, clock_us, self._policy):
                said += self._passed(state, clock_us, self._policy)
            if line.trace and line.source and not line.continuation:
                if state is None and self._shows_another(line):
                    said += self._make_room(clock_us, self._policy)
                    state = self._remembered(line.origin)
                if state is not None:
                    said += hops.follow(state, line, token, clock_us, self._policy)
                    self._changed.add(line.origin)
        return said

    def pass_time(self, now_us: int) -> list[Revision]:
        """Judge what has waited for long enough, and resolve what is over by now."""
        said: list[Revision] = []
        if self._policy is not None:
            for state in self._several.values():
                if hops.is_due(state, now_us, self._policy):
                    said += self._passed(state, now_us, self._policy)
        return said

    def keep_only(self, logs: Container[str]) -> list[Revision]:
        """Forget the logs that are over, and resolve their alerts."""
        said: list[Revision] = []
        for log in [log for log in self._states if log not in logs]:
            said += hops.give_up(self._states.pop(log))
            self._several.pop(log, None)
            self._changed.add(log)
        return said

    def finish(self, now_us: int) -> list[Revision]:
        """Judge what still waits, and resolve every alert: nothing comes any more."""
        said: list[Revision] = []
        if self._policy is not None:
            for state in self._states.values():
                said += hops.flush(state, self._policy)
        return said + self.pass_time(now_us) + self.keep_only(())

    def encoded(self) -> dict[str, bytes]:
        """Every state, by log."""
        return {log: hop_state.encode(state, self._bundle_id) for log, state in self._states.items()}

    def take_changed(self) -> dict[str, bytes | None]:
        """What is to be committed since the last time, by log; None of one that is over."""
        states, changed = self._states, self._changed
        self._changed = set()
        return {
            log: hop_state.encode(states[log], self._bundle_id) if log in states else None
            for log in sorted(changed)
        }

    def _passed(self, state: HopState, now_us: int, policy: HopPolicy) -> list[Revision]:
        self._changed.add(state.log)
        return hops.pass_time(state, now_us, policy)

    def _shows_another(self, line: Line) -> bool:
        """Whether a log has shown a second source by now; before that it has no hops to remember."""
        state = self._states.get(line.origin)
        if state is None:
            state = self._states[line.origin] = HopState(line.origin, first=line.source)
            self._changed.add(line.origin)
        return line.source != state.first

    def _make_room(self, clock_us: int, policy: HopPolicy) -> list[Revision]:
        """Where there is no room for one more log, forget the quietest, if nothing is under way in it."""
        if len(self._several) < MAX_LOGS:
            return []
        quiet = min(self._several.values(), key=_heard_us)
        if clock_us - _heard_us(quiet) <= OVER_US:
            return []
        said = self._passed(quiet, clock_us, policy) + hops.give_up(quiet)
        del self._several[quiet.log], self._states[quiet.log]
        return said

    def _remembered(self, log: str) -> HopState | None:
        if len(self._several) >= MAX_LOGS:
            return None
        state = self._several[log] = self._states[log]
        state.several = True
        return state


def _heard_us(state: HopState) -> int:
    return state.waiting[-1].time_us if state.waiting else state.now_us


def policy_of(core: Core) -> HopPolicy | None:
    """The rule of a bundle, where its training met traces that go from source to source."""
    learnt = core.policy.calibration.hops
    if learnt is None:
        return None
    return HopPolicy(learnt, core.policy.resolve_us, core.policy.naming, core.explain)
