"""Delivers the outbox's alerts in a thread of its own, so that scoring never waits for a receiver.

At least once: what was sent but not noted before a crash is sent again, with the same id and body.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future, wait
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from threading import Event, Thread
from typing import TextIO

from detector.errors import BadSetup
from detector.notify.console import people
from detector.notify.jsonl import json_lines
from detector.notify.lane import Habits, Lane
from detector.notify.queue import Queue, Send
from detector.notify.receivers import (
    ConsoleReceiver,
    JsonLinesReceiver,
    Receiver,
    TopicReceiver,
    WebhookReceiver,
    check,
)
from detector.notify.topic import Putting, open_topic
from detector.notify.webhook import open_webhook

_CANCEL_S = 0.5  # for requests to be cut off after the deadline


class Deliverer:
    """Sends what waits in the outbox, every receiver at its own pace."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        open_queue: Callable[[], AbstractContextManager[Queue]],
        *,
        stdout: TextIO,
        clock: Callable[[], float],
        random: Callable[[], float],
        habits: Habits = Habits(),  # noqa: B008  (frozen)
        putting: Putting | None = None,
    ) -> None:
        """Take the receivers and how to open the outbox in another thread; BadSetup names every fault."""
        _check_all(receivers)
        self._receivers = receivers
        self._open_queue = open_queue
        self._stdout = stdout
        self._clock = clock
        self._random = random
        self._habits = habits
        self._putting = putting
        self._ready = Event()
        self._lanes: list[Lane] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: Future[None] | None = None

    def start(self) -> None:
        """Deliver in the background from now on; raises what keeps it from starting."""
        self._ready.clear()
        self._ended = ended = Future[None]()
        # A daemon: an outbox that hangs does not keep the process alive.
        Thread(target=self._work, args=(ended,), name="deliver", daemon=True).start()
        self._ready.wait()
        self.wake()

    def wake(self) -> None:
        """Say that the outbox has news; raises what ended the thread, if something did."""
        if self._ended is not None and self._ended.done():
            self._ended.result()
        self._in_loop(self._wake_lanes)

    def stop(self, deadline_s: float) -> None:
        """Finish the requests in hand and end; what the deadline cuts off is sent again at the next start."""
        if self._ended is None:
            return
        self._in_loop(self._stop_lanes)
        if not wait([self._ended], timeout=deadline_s).done:
            self._in_loop(self._cancel_all)
            wait([self._ended], timeout=_CANCEL_S)
        ended, self._ended = self._ended, None
        if ended.done():
            with suppress(asyncio.CancelledError):
                ended.result()

    def drain(self) -> None:
        """Try everything that is due now once, in this thread, and return; not between start and stop."""
        asyncio.run(self._drain())

    def _work(self, ended: "Future[None]") -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001  (raised where somebody asks)
            ended.set_exception(error)
        else:
            ended.set_result(None)
        self._ready.set()

    def _in_loop(self, call: Callable[[], object]) -> None:
        if self._loop is not None:
            # The loop is closed where the thread has ended meanwhile.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call)

    def _wake_lanes(self) -> None:
        for lane in self._lanes:
            lane.wake()

    def _stop_lanes(self) -> None:
        for lane in self._lanes:
            lane.stop()

    def _cancel_all(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _run(self) -> None:
        async with self._open_lanes() as lanes:
            self._loop, self._lanes = asyncio.get_running_loop(), lanes
            self._ready.set()
            await _together(lane.run() for lane in lanes)

    async def _drain(self) -> None:
        now_s = self._clock()
        async with self._open_lanes() as lanes:
            await _together(_empty(lane, now_s) for lane in lanes)

    @asynccontextmanager
    async def _open_lanes(self) -> AsyncIterator[list[Lane]]:
        async with AsyncExitStack() as stack:
            queue = stack.enter_context(self._open_queue())
            lanes = []
            for receiver in self._receivers:
                send = await stack.enter_async_context(self._open(receiver))
                lanes.append(
                    Lane(receiver, queue, send, clock=self._clock, random=self._random, habits=self._habits)
                )
            yield lanes

    def _open(self, receiver: Receiver) -> AbstractAsyncContextManager[Send]:
        match receiver:
            case WebhookReceiver():
                return open_webhook(receiver, clock=self._clock)
            case JsonLinesReceiver():
                return nullcontext(json_lines(receiver, self._stdout))
            case TopicReceiver():
                if self._putting is None:
                    raise BadSetup(
                        f"receiver {receiver.name}: no Kafka is configured: set brokers of [kafka]"
                    )
                return open_topic(receiver, self._putting)
            case ConsoleReceiver():
                return nullcontext(people(self._stdout))


async def _empty(lane: Lane, now_s: float) -> None:
    while await lane.round(now_s=now_s):
        pass


async def _together(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Run all until they end; the first failure ends the others and is raised as it was."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures


def _check_all(receivers: Sequence[Receiver]) -> None:
    faults = []
    for receiver in receivers:
        try:
            check(receiver)
        except BadSetup as error:
            faults.append(str(error))
    if faults:
        raise BadSetup("; ".join(faults))
