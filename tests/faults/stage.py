"""A worker's whole surroundings under load, and the check that nothing of what happened shows in the end.

Talks to broker and Redis, serves a webhook, starts worker processes.
"""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from aiokafka.errors import KafkaError

from detector.config.options import RedisAt
from detector.distributed.packs import Position
from detector.distributed.partitions import DOUBLED
from detector.errors import Unavailable
from detector.shard.core import Core, Rules, build
from detector.store.redis.connect import nodes_at
from detector.store.redis.keys import key
from tests.faults.crew import Crew
from tests.faults.load import Load
from tests.faults.notices import Notices
from tests.receiver import SECRET
from tests.servers import topics
from tests.watching import until
from tests.workers import Revisions, States, come_to, fences, replayed, said

K = TypeVar("K")
PARTITIONS, ROUTED = 4, 3
SETTLE_S = 15.0  # half of what a session may be silent, so that no tick ends the last ones
RULES = Rules(budget=10.0, resolve_after_s=300.0)
CONFIG = """
[input]
start = "earliest"
keyed = {keyed}
[bundle]
path = {bundle}
[kafka]
brokers = [{broker}]
topics = [{topic}]
group = {topic}
routed_topic = {routed}
session_timeout_s = 1.5
stall_timeout_s = {stall_timeout_s}
[redis]
url = {redis}
key_prefix = {topic}
timeout_s = {timeout_s}
kept_revisions = 50000
[batch]
max_lines = 50
[alerts]
budget = 10.0
resolve_after_s = 300.0
[[receivers.webhook]]
name = "ops"
url = {webhook}
secret = {secret}
allow_private = true
timeout_s = 2.0
"""


class Stage:
    """Load, workers and receiver of one topic."""

    def __init__(
        self,
        broker: str,
        topic: str,
        at: RedisAt,
        core: Core,
        crew: Crew,
        load: Load,
        notices: Notices,
        *,
        keyed: bool,
    ) -> None:
        """Take what is running."""
        self.broker, self.topic, self.at, self.core = broker, topic, at, core
        self.keyed = keyed
        self.crew, self.load, self.notices = crew, load, notices
        self._nodes = nodes_at(at)
        self._settled_s: float | None = None  # when the last line was in the store

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something while workers that end are started again."""

        def tended() -> bool:
            self.crew.tend()
            self.load.check()
            return holds()

        try:
            until(tended)
        except AssertionError as error:
            raise AssertionError(
                f"{error}; {self.done()} of {len(self.load.lines)} lines: {self.crew.last_words()}"
            ) from error

    def come_on(self, lines: int = 1) -> None:
        """Wait until so many more lines are in the store than now."""
        at = self.done()
        self.until(lambda: self.done() >= at + lines)

    def done(self) -> int:
        """How many lines are in the store, or routed to where they are judged; none where nobody says it."""
        if not self.keyed:
            with suppress(KafkaError):
                return sum(topics.all_committed(self.broker, f"{self.topic}-router").values())
            return 0
        with suppress(Unavailable):
            found = [self._nodes.ask(at, "HGET", at, "fence") for at in self._keys("fence")]
            return sum(msgspec.json.decode(fence, type=Position).offset + 1 for fence in found if fence)
        return 0

    def members(self) -> int:
        """How many workers share the shards, 0 while these are being given out."""
        return topics.members(self.broker, self.topic)

    def close(self) -> None:
        """Close the connections to the store."""
        self._nodes.close()

    def finish(self) -> Revisions:
        """Let everything come to its end and the workers go; gives every revision that there is.

        States and revisions are those of a replay, and the receiver has the last one of every alert.
        """
        expected = self.settle()
        last = {alert_id: max(r for a, r in expected[1] if a == alert_id) for alert_id, _ in expected[1]}
        wanted = {f"{alert_id}.{revision}" for alert_id, revision in last.items()}
        self._hasten()
        self.until(lambda: wanted <= self.notices.taken)
        for worker in list(self.crew.workers):
            self.crew.let_go(worker, perhaps_starting=True)
        self.notices.check()
        assert not said(self.crew.errors, DOUBLED)
        return expected[1]

    def settle(self) -> tuple[States, Revisions]:
        """Let the last line be written, and everything be done with it; gives what a replay comes to."""
        self.load.finish()
        expected = self.replayed(self.load.lines)
        self.until(lambda: self.done() >= len(self.load.lines))
        self.until(self._is_read)
        # What the clock alone calls for behind the last line is said in commits of their own.
        self.until(lambda: self._has_come_to(expected))
        return expected

    def replayed(self, lines: Iterable[bytes]) -> tuple[States, Revisions]:
        """What `replay --keep-open` makes of these lines."""
        log = self.crew.errors.with_name("replayed.log")
        log.write_bytes(b"".join(line + b"\n" for line in lines))
        return replayed(self.core, log)

    def _is_read(self) -> bool:
        """Whether everything is judged that was routed: up to the fence, or nothing but markers behind it."""
        if self.keyed:
            return True
        with suppress(Unavailable, KafkaError):
            ends = topics.ends(self.broker, scored(self.topic, keyed=False), ROUTED)
            told, found = topics.all_committed(self.broker, self.topic), fences(self.at)
            return all(
                max(found.get(f"{topic}-{partition}", -1) + 1, told.get((topic, partition), 0)) >= end
                for (topic, partition), end in ends.items()
            )
        return False

    def _has_come_to(self, expected: tuple[States, Revisions]) -> bool:
        """Whether the store holds what the replay came to; says what differs when that takes too long."""
        found = come_to(self.at, self.core)
        if found == expected:
            return True
        if self._settled_s is None:
            self._settled_s = time.monotonic()
        if time.monotonic() > self._settled_s + SETTLE_S:
            same("state", found[0], expected[0])
            same("revision", found[1], expected[1])
        return False

    def _hasten(self) -> None:
        """Let what waits for its next attempt be due now, not in five minutes."""
        for at in self._keys("ready", "ops"):
            for member in self._nodes.ask(at, "ZRANGE", at, 0, -1):
                self._nodes.ask(at, "ZADD", at, "XX", 0, member)

    def _keys(self, part: str, receiver: str = "") -> list[str]:
        number = PARTITIONS if self.keyed else ROUTED
        shards = [f"{scored(self.topic, keyed=self.keyed)}-{partition}" for partition in range(number)]
        return [key(self.at.key_prefix, shard, part, receiver) for shard in shards]


Staged = Callable[..., AbstractContextManager[Stage]]  # makes the stage of a topic, on a test's servers


@contextmanager
def staged(
    folder: Path,
    *,
    broker: str,
    redis: str,
    topic: str,
    bundle: Path,
    session: bool,
    rng: random.Random,
    keyed: bool = True,
    workers: int = 1,
    via: str = "",
    timeout_s: float = 5.0,
    stall_timeout_s: float = 30.0,
) -> Iterator[Stage]:
    """Lines that are being written, and workers on them; these reach Redis by `via`, where it is given."""
    topics.create(broker, topic, partitions=PARTITIONS)
    if not keyed:
        topics.create(broker, scored(topic, keyed=False), partitions=ROUTED)
    config = folder / "tailrace.toml"
    with ExitStack() as stack:
        notices = Notices()
        stack.callback(notices.down)
        notices.up()
        values = {
            "bundle": str(bundle), "broker": broker, "topic": topic, "redis": via or redis,
            "webhook": notices.script.url, "secret": SECRET,
            "timeout_s": timeout_s, "stall_timeout_s": stall_timeout_s,
            "keyed": keyed, "routed": scored(topic, keyed=False),
        }  # fmt: skip
        config.write_text(CONFIG.format(**{name: json.dumps(value) for name, value in values.items()}))
        crew = Crew(config, folder / "errors")
        stack.callback(crew.close)
        load = Load(broker, topic, rng, session=session)
        stack.callback(load.stop)
        core = build(bundle, {}, RULES, [str(folder / "replayed.log")])
        for _ in range(workers):
            crew.hire()
        stage = Stage(
            broker, topic, RedisAt(url=redis, key_prefix=topic), core, crew, load, notices, keyed=keyed
        )
        stack.callback(stage.close)
        yield stage


def scored(topic: str, *, keyed: bool) -> str:
    """The topic whose lines are judged."""
    return topic if keyed else f"{topic}-by-source"


def same(what: str, found: Mapping[K, object], expected: Mapping[K, object]) -> None:
    """Say in a few words what differs; a whole comparison would be thousands of lines."""
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    other = [name for name in found if name in expected and found[name] != expected[name]]
    first = "".join(
        f"\n  found    {found.get(name)}\n  expected {expected.get(name)}"
        for name in (*missing[:1], *extra[:1], *other[:1])
    )
    if missing or extra or other:
        raise AssertionError(
            f"of {len(expected)} {what}s: missing {missing[:3]} ({len(missing)}), "
            f"extra {extra[:3]} ({len(extra)}), different {other[:3]} ({len(other)}){first}"
        )
