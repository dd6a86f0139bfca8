"""Worker processes that are started again when they end, as systemd or Kubernetes would. Starts processes.

They are forked from a process that has everything imported: half of a start is spent there, and what is
killed dozens of times is started as often.
"""

import faulthandler
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.faults.dying import die_at
from tests.watching import DEADLINE_S

END_S = 10.0  # from SIGTERM to the end
# Of a fault that the next start repairs: a server away or silent, fenced off. Not 70, which is a bug.
REPAIRED = frozenset({4, 5})

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["detector.cli.__main__", "detector.cli.working", "detector.cli.receivers", "pytest"]  # whose child it is
)


class Crew:
    """The workers of one configuration; all that they say is added to one file."""

    def __init__(self, config: Path, errors: Path) -> None:
        """Start none yet."""
        self._config, self.errors = config, errors
        self.workers: list[ForkServerProcess] = []
        self.doomed: list[ForkServerProcess] = []  # kill themselves, if they come to it
        self.exits: list[int] = []  # by themselves, of faults
        self.ended_s: list[float] = []  # from SIGTERM to the end

    def hire(self, dies: tuple[str, int] | None = None) -> ForkServerProcess:
        """Start one more; `dies` says where in routing it kills itself (`dying.die_at`)."""
        worker = _context.Process(target=_work, args=(self._config, self.errors, dies))
        worker.start()
        self.workers.append(worker)
        self.doomed += [] if dies is None else [worker]
        return worker

    def tend(self) -> None:
        """Start those again that have ended by themselves; what no start repairs is the test's failure."""
        for place, worker in enumerate(self.workers):
            if worker.exitcode is None:
                continue
            fine = REPAIRED | {-signal.SIGKILL} if worker in self.doomed else REPAIRED
            assert worker.exitcode in fine, f"exit {worker.exitcode}: {self.last_words()}"
            self.exits.append(worker.exitcode)
            self.workers[place] = self.hire()
            self.workers.pop()

    def kill(self, worker: ForkServerProcess) -> None:
        """End it as a power cut would (kill -9)."""
        self.workers.remove(worker)
        worker.kill()
        worker.join()

    def bury(self, worker: ForkServerProcess) -> None:
        """Wait for the end of one that kills itself."""
        self.workers.remove(worker)
        worker.join(DEADLINE_S)
        code = worker.exitcode
        worker.kill()
        assert code == -signal.SIGKILL, f"exit {code}, where it was to die: {self.last_words()}"

    def dismiss(self, worker: ForkServerProcess) -> int:
        """Let it end in order, within the time that is promised; gives the exit code."""
        self.workers.remove(worker)
        told_s = time.monotonic()
        worker.terminate()
        worker.join(END_S)
        code = worker.exitcode
        self.ended_s.append(round(time.monotonic() - told_s, 1))
        if code is None:
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGABRT)  # which shows where every thread is
            worker.join()
        assert code is not None, f"still there {END_S:.0f} s after SIGTERM: {self.last_words()}"
        return code

    def let_go(self, worker: ForkServerProcess, *, perhaps_starting: bool = False) -> None:
        """Let it end in order, as nothing is wrong; one that still starts has nothing in hand yet."""
        code = self.dismiss(worker)
        fine = {0, -signal.SIGTERM} if perhaps_starting else {0}
        assert code in fine, f"exit {code} after SIGTERM: {self.last_words()}"

    def close(self) -> None:
        """Leave none behind."""
        for worker in list(self.workers):
            self.kill(worker)

    def last_words(self) -> str:
        """What was said last, to show with a failure."""
        return self.errors.read_text()[-6000:] if self.errors.exists() else ""


def pause(worker: ForkServerProcess) -> None:
    """Let it stand still, as a machine that swaps or a virtual one that is moved."""
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)


def wake(worker: ForkServerProcess) -> None:
    """Let it go on."""
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGCONT)


def _work(config: Path, errors: Path, dies: tuple[str, int] | None) -> None:
    """What the `tailrace` command does, in a process that was forked."""
    from detector.cli.__main__ import main  # noqa: PLC0415  (imported already where this is forked)

    with errors.open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    faulthandler.enable()
    if dies is not None:
        die_at(*dies)
    sys.argv = ["tailrace", "worker", "--config", str(config)]
    main()
