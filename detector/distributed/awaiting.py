"""Wait for an answer and for the word to end, whichever comes first. Starts a thread."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from detector.inputs.kafka.feed import Stopping

LOOK_S = 0.1  # how often to ask whether the worker is to end

T = TypeVar("T")


def awaited(ask: Callable[[], T], stopping: Stopping) -> T | None:
    """What `ask` gives, or None where the worker is to end before; raises what it raises.

    It is asked in a thread, which is left alone then: a server that hangs keeps no process alive.
    """
    answer: Future[T] = Future()

    def asked() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001  (raised again where the caller waits)
            answer.set_exception(error)

    threading.Thread(target=asked, name="ask", daemon=True).start()
    while not answer.done():
        if stopping.wait(LOOK_S):
            return None
    return answer.result()
