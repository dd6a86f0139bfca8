"""Run fits in processes side by side. Starts processes; each job keeps its result in a checkpoint."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import get_context
from queue import Empty
from typing import Any

from training.model.run import Report
from training.model.settings import Progress

Job = Callable[[Report], object]  # must be picklable, as a partial of a function of a module
REPORT_EVERY_S = 0.2


def beside(jobs: Mapping[str, Job], processes: int, stage: Callable[[str], Report]) -> None:
    """Run every job in a process of its own, at most so many at once.

    A job that fails says so nowhere: whoever then needs its result runs it again, and sees the error.
    """
    context = get_context("spawn")
    told, waiting = context.Queue(), dict(jobs)
    running: list[Any] = []
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                name = next(iter(waiting))
                arguments = (waiting.pop(name), name, told, os.getpid())
                running.append(context.Process(target=_run, args=arguments, daemon=True))
                running[-1].start()
            with suppress(Empty):
                name, progress = told.get(timeout=0.1)
                stage(name)(progress)
            running = [process for process in running if process.is_alive()]
    finally:
        for process in running:
            process.terminate()
            process.join()


def _run(job: Job, name: str, told: Any, parent: int) -> None:
    """The process of one job: it ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    said_s = 0.0

    def report(progress: Progress) -> None:
        nonlocal said_s
        if os.getppid() != parent:
            os._exit(1)  # killed: nobody waits for us, and a resumed fit writes the same checkpoint
        if time.monotonic() - said_s >= REPORT_EVERY_S:
            said_s = time.monotonic()
            told.put((name, progress))

    job(report)
