"""Run fits in processes side by side. Starts processes; each job keeps its result in a checkpoint."""

import os
import pickle
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from training.model.run import Report
from training.model.settings import Progress

Job = Callable[[Report], object]  # must be picklable, as a partial of a function of a module
REPORT_EVERY_S = 0.2


def beside(jobs: Mapping[str, Job], processes: int, stage: Callable[[str], Report]) -> None:
    """Run every job in a process of its own, at most so many at once.

    A job that fails says so nowhere: whoever then needs its result runs it again, and sees the error.
    """
    waiting, running = dict(jobs), dict[Any, tuple[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="tailrace-") as folder:
        try:
            while waiting or running:
                while waiting and len(running) < processes:
                    name = next(iter(waiting))
                    told, process = _start(waiting.pop(name), Path(folder) / f"{len(waiting)}.job")
                    running[told] = name, process
                ready: Any
                for ready in wait(list(running)):
                    name, process = running[ready]
                    try:
                        stage(name)(ready.recv())
                    except EOFError:
                        process.join()
                        del running[ready]
        finally:
            for _, process in running.values():
                process.terminate()
                process.join()


def _start(job: Job, path: Path) -> tuple[Connection, Any]:
    """Start a process; the job goes through a file, as a process that dies early leaves a pipe full."""
    path.write_bytes(pickle.dumps(job))
    context = get_context("spawn")
    told, tells = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(str(path), tells, os.getpid()), daemon=True)
    process.start()
    tells.close()  # ours, so that its end is seen when the process is gone
    return told, process


def _run(path: str, tells: Connection, parent: int) -> None:
    """The process of one job: it ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job: Job = pickle.loads(Path(path).read_bytes())  # noqa: S301  (our own, from a private folder)
    said_s = 0.0

    def report(progress: Progress) -> None:
        nonlocal said_s
        if os.getppid() != parent:
            os._exit(1)  # killed: nobody waits for us, and a resumed fit writes the same checkpoint
        if time.monotonic() - said_s >= REPORT_EVERY_S:
            said_s = time.monotonic()
            tells.send(progress)

    job(report)
