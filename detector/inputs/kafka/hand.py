"""A thread that does what may block, one call after the other. Starts a thread."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class Hand:
    """One thread: what it did is seen by what it does next.

    It is a daemon: a call that hangs does not keep a process alive that has given it up.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; results go to this loop."""
        self._loop = loop
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._pending = 0
        self._free = asyncio.Event()
        self._free.set()
        self.busy_since_s: float | None = None  # when the call in hand began
        threading.Thread(target=self._run, name="kafka-work", daemon=True).start()

    async def do(self, call: Callable[..., T], *arguments: object) -> T:
        """Call it in the thread; what waits for it may go away, the call is done all the same."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T | None, error: BaseException | None) -> None:
            self._pending -= 1
            if not self._pending:
                self._free.set()
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]
            else:
                future.set_exception(error)

        def job() -> None:
            result, error = None, None
            try:
                result = call(*arguments)
            except BaseException as raised:  # noqa: BLE001  (raised again where the caller waits)
                error = raised
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                self._loop.call_soon_threadsafe(done, result, error)

        self._pending += 1
        self._free.clear()
        self._calls.put(job)
        return await future

    async def finish(self) -> None:
        """Wait until nothing is left to do."""
        await self._free.wait()

    def end(self) -> None:
        """Let the thread end after what it was given."""
        self._calls.put(None)

    def _run(self) -> None:
        while (job := self._calls.get()) is not None:
            self.busy_since_s = time.monotonic()
            job()
            self.busy_since_s = None
