"""Ends a worker that is alive and reads nothing while records wait. Asks Kafka, and the monotonic clock."""

import asyncio
import time

import structlog
from aiokafka.errors import KafkaError

from detector.errors import BadSetup, Stuck, Unavailable
from detector.inputs.kafka.asking import logs_anew
from detector.inputs.kafka.feed import Shard
from detector.inputs.kafka.fetching import FetchThread
from detector.inputs.kafka.member import Member

ANSWER_S = 5.0  # for the broker to say where the logs end
LOOKS = 6  # in one stall timeout
BEGUN_NONE = "partitions were given to this worker and none of them has begun"
GIVEN_NONE = "the group took all partitions back, a member or its coordinator may hang: none was given out"
UNGIVEN = "the group gives out no partitions, a member or its coordinator may hang: waiting"

log = structlog.get_logger("kafka")


class Watchdog:
    """Remembers when each thing last went on."""

    def __init__(self, member: Member, thread: FetchThread) -> None:
        """Everything goes on so far."""
        self._member, self._thread = member, thread
        self._marks: dict[str, tuple[object, float]] = {}
        self._unanswered_s: float | None = None  # since when the client gives no answer
        self._ungiven_s: float | None = None  # since when the group has not said what is ours
        self._patience_s = 0.0  # until that is said, once more

    async def watch(self) -> None:
        """Look again and again; ends with what is wrong.

        Raises:
            Stuck: nothing is read although there is something.
        """
        while True:
            await asyncio.sleep(self._member.feed.stall_timeout_s / LOOKS)
            await self._look()

    async def _look(self) -> None:
        member, limit_s = self._member, self._member.feed.stall_timeout_s
        since_s = member.hand.busy_since_s
        if since_s is not None:
            if time.monotonic() - since_s > limit_s:
                raise Stuck(f"one batch has been in hand for more than {limit_s:.0f} s: ending")
            return
        shards = [Shard(*one) for one in self._thread.assignment()]
        ends = await self._ends(shards)
        if ends is None:
            self._marks.clear()  # nobody to read from: that is known, and no stall
            await self._ask_anew(shards)
            return
        self._unanswered_s = None
        self._say_ungiven(shards)
        lanes = member.lanes
        if shards and not lanes.is_open and self._still("assignment", (lanes.rebalances, lanes.given)):
            raise Stuck(f"{BEGUN_NONE if lanes.is_given else GIVEN_NONE} for {limit_s:.0f} s: ending")
        for shard, lane in lanes.lanes.items():
            waiting = ends.get(shard, 0) - lane.after - 1
            waits = waiting > 0 and lane.hint < ends[shard]
            # Not to have read is a stall from when something waits: nothing may have come for long before.
            if self._still(str(shard), (lane.after, lane.position, waits)) and waits:
                raise Stuck(
                    f"{shard}: {waiting} offsets wait and nothing was read for {limit_s:.0f} s: ending, "
                    "so that a new start goes on from the fence"
                )

    def _say_ungiven(self, shards: list[Shard]) -> None:
        """Warn while the group gives nothing out, each time after twice as long.

        A new start would be one member more that waits: whoever hangs is another one, or the coordinator.
        Who had shards before keeps them by name until others come, and is ended where none do.
        """
        feed, now_s = self._member.feed, time.monotonic()
        if shards or self._member.lanes.is_spare:
            self._ungiven_s = None
            return
        if self._ungiven_s is None:
            self._ungiven_s, self._patience_s = now_s, feed.stall_timeout_s
        waited_s = now_s - self._ungiven_s
        if waited_s > self._patience_s:
            self._patience_s *= 2
            log.warning(UNGIVEN, group=feed.group, waited_s=round(waited_s, 1))

    def _still(self, what: str, mark: object) -> bool:
        """Whether this has not changed for the whole timeout."""
        before, since_s = self._marks.get(what, (None, 0.0))
        if before != mark:
            self._marks[what] = (mark, time.monotonic())
            return False
        return time.monotonic() - since_s > self._member.feed.stall_timeout_s

    async def _ask_anew(self, shards: list[Shard]) -> None:
        """See by a client of its own whether it is Kafka that is away, or ours that hangs."""
        limit_s, now_s = self._member.feed.stall_timeout_s, time.monotonic()
        if self._unanswered_s is None:
            self._unanswered_s = now_s
        if now_s - self._unanswered_s <= limit_s:
            return
        try:
            await logs_anew(self._member.feed.connection, shards)
        except (Unavailable, BadSetup):  # a fault of the setup is said where something is read
            self._unanswered_s = None
            return
        # It may have come back just now, for ours as well.
        if await self._ends(shards) is None:
            raise Stuck(f"Kafka answers, but its client here has not for {limit_s:.0f} s: ending")

    async def _ends(self, shards: list[Shard]) -> dict[Shard, int] | None:
        try:
            async with asyncio.timeout(min(ANSWER_S, self._member.feed.stall_timeout_s)):
                logs = await self._thread.ask(self._thread.logs(shards))
        except (KafkaError, TimeoutError) as error:
            log.warning("waiting for Kafka", error=type(error).__name__)
            return None
        return {shard: offsets.stop for shard, offsets in logs.items()}
