"""What ends a daemon: SIGTERM and Ctrl-C. Installs signal handlers."""

import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Self


class Stopping:
    """While entered, a signal asks for an end instead of making one; a second Ctrl-C ends at once."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.interrupted = False  # by Ctrl-C
        self._asked, self._asked_s = False, 0.0
        # A pipe, not threading.Event: its lock would be held where the handler runs in the middle of a wait.
        self._wake, self._wakeup = os.pipe()

    def __enter__(self) -> Self:
        """Take over the signals."""
        self._before = {
            number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._wake)
        os.close(self._wakeup)

    def now_s(self) -> float:
        """The monotonic clock."""
        return time.monotonic()

    def asked_for_s(self) -> float:
        """How long ago the end was asked for; 0 where it was not."""
        return time.monotonic() - self._asked_s if self._asked else 0.0

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until somebody asks for the end; whether somebody has."""
        if not self._asked:
            select.select([self._wake], [], [], seconds)
        return self._asked

    def _ask(self, number: int, _: FrameType | None) -> None:
        if not self._asked:
            self._asked_s = time.monotonic()
        self._asked = True
        if number == signal.SIGINT:
            self.interrupted = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(self._wakeup, b".")
