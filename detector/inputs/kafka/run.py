"""Run a worker until it is told to end or something is wrong. Talks to Kafka; starts threads."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog
from aiokafka.errors import ConsumerStoppedError, KafkaError

from detector.errors import InDoubt, Stuck, Unavailable
from detector.inputs.kafka.app import App, build
from detector.inputs.kafka.faults import explained
from detector.inputs.kafka.feed import Feed, Stopping, Work
from detector.inputs.kafka.fetching import FetchThread
from detector.inputs.kafka.member import Member
from detector.inputs.kafka.preflight import check
from detector.inputs.kafka.watchdog import Watchdog

LEAVE_S = 2.0  # to leave the group; a worker that hangs is dropped by its session
END_S = 0.5  # for what is left then
GROUP_S = 1.0  # how often to ask the client for errors of the group and of the topics
LOOK_S = 0.1  # how often to ask whether the worker is to end

log = structlog.get_logger("kafka")


def run(feed: Feed, work: Work, stopping: Stopping, spare: Callable[[], None] = lambda: None) -> None:
    """Read the group's share of the topics until told to end; then finish the batch in hand and leave.

    `spare` is called whenever the group has given out all shards, and none of them to us.

    Raises:
        Unavailable: Kafka cannot be reached.
        BadSetup: a topic or a right is not there, or the brokers do not let us in.
        Stuck: the input does not go on, or has lost its place.
    """
    # Not asyncio.run: it waits for ever for tasks of Faust's and of the client's that do not heed their
    # cancellation, and where no broker answers they do not.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_run(feed, work, stopping, spare))
    finally:
        _abandon(loop)
        loop.close()


async def _run(feed: Feed, work: Work, stopping: Stopping, spare: Callable[[], None]) -> None:
    if not await _checked(feed, stopping):
        return
    member = Member(feed, work, spare)
    try:
        await serve(member, build(member), stopping)
    except InDoubt:
        raise
    except Unavailable as error:
        if member.has_left:
            raise
        # A second member beside what is left of this one: the group could give that one shards again.
        raise Stuck(f"{error}; and Kafka's client cannot be ended: ending") from error


async def _checked(feed: Feed, stopping: Stopping) -> bool:
    """Make sure that there is something to read; False where the worker is to end before that is known."""
    checking, told = asyncio.ensure_future(check(feed)), asyncio.ensure_future(_told(stopping))
    try:
        await asyncio.wait((checking, told), return_when=asyncio.FIRST_COMPLETED)
        if checking.done():
            checking.result()
            return True
        told.result()
        return False
    finally:
        checking.cancel()
        told.cancel()


def _abandon(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left, and wait for it no longer than END_S."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.set_exception_handler(lambda *_: None)  # who is to hear of it is told by an error of ours
        loop.run_until_complete(asyncio.wait(left, timeout=END_S))


async def serve(member: Member, app: App, stopping: Stopping) -> None:
    """Run a worker's app; what `run` does inside the loop."""
    each = (_told(stopping), _start(app), _ticks(member), _hints(member), _watch(member), _group(member))
    tasks = [member.failed, *(asyncio.ensure_future(one) for one in each)]
    is_well = False
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # In this order: what we found wrong ourselves explains what Faust made of it.
        ended = [task for task in tasks if task.done() and not task.cancelled()]
        errors = [error for task in ended if (error := task.exception()) is not None]
        if errors:
            raise explained(errors[0], member.feed.connection) from errors[0]
        is_well = True
    finally:
        member.lanes.rebalances += 1  # nothing that is queued is begun any more
        await member.finish()
        for task in tasks:
            task.cancel()
        await _leave(app, member, tells=is_well)
        member.hand.end()


async def _start(app: App) -> None:
    """Start the app, and wait for it to fail."""
    await app.start()
    await app.wait_until_stopped()
    raise app.crash_reason or Stuck("Faust has ended by itself: ending")


async def _told(stopping: Stopping) -> None:
    while not stopping.wait(0):  # noqa: ASYNC110  (asked by a signal handler, outside the loop)
        await asyncio.sleep(LOOK_S)


async def _ticks(member: Member) -> None:
    while True:
        await asyncio.sleep(member.feed.tick_s)
        await member.tick()


async def _hints(member: Member) -> None:
    thread = await asyncio.shield(member.started)
    while True:
        await asyncio.sleep(member.feed.hint_s)
        await _hint(member, thread)


async def _watch(member: Member) -> None:
    await Watchdog(member, await asyncio.shield(member.started)).watch()


async def _group(member: Member) -> None:
    """Hear of what the client is told by the group, for which it waits, and of the topics."""
    thread = await asyncio.shield(member.started)
    while True:
        await asyncio.sleep(GROUP_S)
        try:
            await thread.ask(thread.check())
        except ConsumerStoppedError:
            log.info("the client has stopped")  # Faust says why
        except KafkaError as error:
            if not error.retriable:
                raise
            log.warning("the group does not answer as it should, going on", error=str(error))


async def _hint(member: Member, thread: FetchThread) -> None:
    """Set the group's offsets for those who watch its lag; nobody begins there."""
    lanes = member.lanes.lanes
    hints = member.lanes.hints()
    if not hints:
        return
    try:
        async with asyncio.timeout(LEAVE_S):
            await thread.ask(thread.hint(hints))
    except (KafkaError, TimeoutError) as error:
        log.info("the group's offsets could not be set, trying again", error=type(error).__name__)
        return
    for shard, offset in hints.items():
        if shard in lanes:
            lanes[shard].hinted = offset


async def _leave(app: App, member: Member, *, tells: bool) -> None:
    """Leave the group, so that others need not wait for the session to end."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            if tells and member.started.done():
                await _hint(member, member.started.result())
            await app.stop()
            member.has_left = True
