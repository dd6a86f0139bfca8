"""Run fits in processes side by side. Starts processes; each job keeps its result in a checkpoint."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from training.model.run import Report
from training.model.settings import Progress

Job = partial[Any]  # of a function of a module; takes a Report, and `sessions` among its keywords
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
                    told, process = _start(waiting.pop(name), Path(folder) / f"{len(waiting)}.npz")
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
    """Start a process; the sessions go through a file, as a process that dies early leaves a pipe full."""
    sessions = job.keywords["sessions"]
    np.savez(path, tokens=np.concatenate(sessions), lengths=[len(tokens) for tokens in sessions])
    small = partial(job, sessions=())
    context = get_context("spawn")
    told, tells = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(small, str(path), tells, os.getpid()), daemon=True)
    process.start()
    tells.close()  # ours, so that its end is seen when the process is gone
    return told, process


def _run(job: Job, path: str, tells: Connection, parent: int) -> None:
    """The process of one job: it ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with np.load(path, allow_pickle=False) as saved:
        sessions = np.split(saved["tokens"], np.cumsum(saved["lengths"])[:-1])
    said_s = 0.0

    def report(progress: Progress) -> None:
        nonlocal said_s
        if os.getppid() != parent:
            os._exit(1)  # killed: nobody waits for us, and a resumed fit writes the same checkpoint
        if time.monotonic() - said_s >= REPORT_EVERY_S:
            said_s = time.monotonic()
            tells.send(progress)

    job(report, sessions=sessions)
