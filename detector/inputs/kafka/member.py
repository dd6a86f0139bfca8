"""Between Faust and the shell: begins shards, hands batches over, ends the process when something is wrong.

Runs in the main loop; the shell's calls run in a thread of their own.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from detector.errors import Stuck, Unavailable
from detector.inputs.kafka.beginning import beginning
from detector.inputs.kafka.faults import refusal
from detector.inputs.kafka.feed import ANEW, Begin, Feed, PartitionBatch, Shard, Work
from detector.inputs.kafka.fetching import FetchThread
from detector.inputs.kafka.hand import Hand
from detector.inputs.kafka.lanes import Lane, Lanes

AGAIN_S = 1.0  # a broker that has just taken over may not know the end of its log yet

log = structlog.get_logger("kafka")


class Member:
    """One member of the group at work."""

    def __init__(self, feed: Feed, work: Work, spare: Callable[[], None] = lambda: None) -> None:
        """Start with no shards; to be made inside the loop."""
        self._loop = loop = asyncio.get_running_loop()
        self.feed, self.lanes = feed, Lanes()
        self.hand = Hand(loop)
        self.started: asyncio.Future[FetchThread] = loop.create_future()
        self.failed: asyncio.Future[None] = loop.create_future()
        self.has_left = False  # the group, and nothing of the client is left
        self._work, self._spare = work, spare

    def say_started(self, thread: FetchThread) -> None:
        """Note that the client is there; called in its thread."""
        self._loop.call_soon_threadsafe(self.started.set_result, thread)

    def fail(self, error: BaseException) -> None:
        """End the process with this error: start-up goes on from the fences."""
        if not self.failed.done():
            self.failed.set_exception(error)

    def lose_place(self, what: str) -> None:
        """End because records were left out on their way, or came twice."""
        self.fail(Stuck(f"{what}: ending, so that a new start goes on from the fence"))

    async def begin(self, assigned: Iterable[tuple[str, int]], thread: FetchThread) -> None:
        """Take the shards of an assignment, each from its fence on; comes back when they are being read.

        What ends it is that nothing goes on: with many shards all of them take long.
        """
        rebalances = self.lanes.rebalances
        try:
            async with asyncio.timeout(self.feed.begin_timeout_s) as bound:
                await self._begin(rebalances, [Shard(*one) for one in assigned], thread, bound)
        except TimeoutError:
            seconds = self.feed.begin_timeout_s
            self.fail(Unavailable(f"the fences could not be read within {seconds:.0f} s: ending"))
        except KafkaError as error:
            if rebalances == self.lanes.rebalances:  # else these shards are not ours, and others follow
                refused = refusal(error, self.feed.connection)
                away = Unavailable(f"Kafka cannot say where the logs begin and end ({error!r}): ending")
                self.fail(refused or away)
        except Exception as error:  # noqa: BLE001  (ends the process)
            self.fail(error)

    async def _begin(
        self, rebalances: int, shards: list[Shard], thread: FetchThread, bound: asyncio.Timeout
    ) -> None:
        work, lanes = self._work, self.lanes
        await self.drop()
        said: dict[Shard, int | None] = {}
        for shard in shards:
            said[shard] = await self.hand.do(work.fence, shard)
            self._put_off(bound)
        fences = {shard: None if fence == ANEW else fence for shard, fence in said.items()}
        logs = await self._logs(fences, thread)
        unfenced = [shard for shard in shards if fences[shard] is None]
        # What the group was told of a shard that was reset is about what was before.
        known = await thread.ask(thread.hinted(shard for shard in unfenced if said[shard] != ANEW))
        since = await self._since(unfenced, known, logs, thread)
        stopped: dict[Shard, str] = {}
        for shard in shards:
            found = beginning(
                shard,
                fences[shard],
                logs[shard],
                since.get(shard, 0),
                known=shard in known,
                reread=0 if shard.topic in self.feed.whole else self.feed.reread,
            )
            if isinstance(found, str):
                stopped[shard] = found
                log.error("shard stopped", shard=str(shard), reason=found)
                await self.hand.do(work.stopped, shard, found)
            else:
                await self._take(shard, found, logs[shard])
            self._put_off(bound)
        positions = {shard: lane.position for shard, lane in lanes.lanes.items()}
        positions |= {shard: logs[shard].stop for shard in stopped}
        await thread.ask(thread.go_to(positions, stopped))
        lanes.stopped = stopped
        lanes.begun = rebalances

    def _put_off(self, bound: asyncio.Timeout) -> None:
        """Give what comes next as long as what came before."""
        bound.reschedule(self._loop.time() + self.feed.begin_timeout_s)

    async def _logs(self, fences: dict[Shard, int | None], thread: FetchThread) -> dict[Shard, range]:
        """Where the logs begin and end; asked again where one ends too early to be true."""
        logs = await thread.ask(thread.logs(fences))
        if any(fence is not None and fence >= logs[shard].stop for shard, fence in fences.items()):
            await asyncio.sleep(AGAIN_S)
            logs = await thread.ask(thread.logs(fences))
        return logs

    async def _since(
        self, shards: list[Shard], known: set[Shard], logs: dict[Shard, range], thread: FetchThread
    ) -> dict[Shard, int]:
        """The first offset that is wanted of each shard without a fence."""
        whole = [shard for shard in shards if self.feed.is_whole(shard) and shard not in known]
        since = {shard: logs[shard].start for shard in whole}
        others = [shard for shard in shards if shard not in since]
        match self.feed.start:
            case "earliest":
                since |= {shard: logs[shard].start for shard in others}
            case datetime() as start if others:
                found = await thread.ask(thread.first_since(others, round(start.timestamp() * 1000)))
                since |= {shard: logs[shard].stop if at is None else at for shard, at in found.items()}
            case _:
                since |= {shard: logs[shard].stop for shard in others}
        return since

    async def _take(self, shard: Shard, begin: Begin, offsets: range) -> None:
        if begin.lost:
            log.error(
                "records lost: retention removed them before they were read",
                shard=str(shard), fence=begin.fence, next=begin.after + 1, lost=begin.lost,
            )  # fmt: skip
        if begin.forgotten:
            log.error(
                "the store has lost its fence, perhaps all it had: beginning as input.start says",
                shard=str(shard), next=begin.after + 1,
            )  # fmt: skip
        # Before the shell has it: if this is given up half-way, the shell is told to let go.
        self.lanes.lanes[shard] = Lane(
            after=begin.after,
            handed=begin.after,
            position=begin.after + 1,
            end=offsets.stop,
            answered_s=time.monotonic(),
        )
        await self.hand.do(self._work.begin, shard, begin)

    def stand_by(self) -> None:
        """Note that the group has given out its shards, and none of them to us."""
        self.lanes.spare = self.lanes.rebalances
        log.info("no shard is left for this worker, standing by")
        self._later(self.hand.do(self._spare))  # behind the batch in hand, and letting go of its shard

    async def drop(self) -> None:
        """Let go of all shards, once the batch in hand is done."""
        shards = frozenset(self.lanes.lanes)
        self.lanes.lanes, self.lanes.stopped = {}, {}
        if shards:
            await self.hand.do(self._work.dropped, shards)

    async def take(self, rebalances: int, batch: PartitionBatch) -> None:
        """Process a batch, unless it was fetched for an assignment that is over."""
        lanes = self.lanes
        if rebalances != lanes.rebalances or self.failed.done():
            return
        hole = lanes.hole(batch)
        if hole:
            self.lose_place(hole)
            return
        lane = lanes.lanes[batch.shard]
        try:
            await self.hand.do(self._work.process, batch)
        except Exception as error:  # noqa: BLE001  (ends the process)
            self.fail(error)
            return
        lanes.done(lane, batch)

    async def tick(self) -> None:
        """Tell the shell of the shards that are at the end of their log."""
        for shard in list(self.lanes.lanes):
            # Asked anew for each: a batch may have come while the one before it was told.
            quiet_s = self.lanes.quiet_s(shard)
            if quiet_s is None or self.failed.done():
                continue
            try:
                await self.hand.do(self._work.tick, shard, quiet_s)
            except Exception as error:  # noqa: BLE001  (ends the process)
                self.fail(error)

    async def release(self) -> None:
        """Let go of all shards: a rebalance takes them all, and may give none back."""
        await self.finish()
        dropped = self._later(self.drop())  # at once, or when the batch in hand is done after all
        if self.hand.busy_since_s is None:
            await dropped

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something whether anybody waits for it or not; where it fails, the process ends."""

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.fail(error)

        task = self._loop.create_task(work)
        task.add_done_callback(ended)
        return task

    async def finish(self) -> None:
        """Wait for the batch in hand, but not for ever: what it commits later is refused by the store."""
        try:
            async with asyncio.timeout(self.feed.drain_timeout_s):
                await self.hand.finish()
        except TimeoutError:
            log.warning(
                "the batch in hand is not done, going on without it", waited_s=self.feed.drain_timeout_s
            )
