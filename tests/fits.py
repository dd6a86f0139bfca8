"""Bundles that are fitted once for all tests, while other tests run: that takes minutes. Starts processes."""

import fcntl
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.recordings import FIXTURES, SESSION_ID, SYSTEMS, run

RECORDED = {
    **{system: (system, ("--budget", "1")) for system in SYSTEMS},
    "sessions": ("postgres", ("--session", "--source-regex", SESSION_ID)),
}
JOBS = "jobs"
JOBS_COUNT = 100


class Fits:
    """One fit after the other, in a folder that processes which share the tests have in common."""

    def __init__(self, folder: Path) -> None:
        """Begin with what is there."""
        folder.mkdir(exist_ok=True)
        self._folder, self._made = folder, dict[str, Future[Path]]()
        self._one = ThreadPoolExecutor(max_workers=1)

    def start(self, name: str) -> "Future[Path]":
        """The folder of what was fitted: `bundle` and what that `said`; of our own jobs `normal.log`, too."""
        if name not in self._made:
            self._made[name] = self._one.submit(self._fit, name)
        return self._made[name]

    def close(self) -> None:
        """Begin no more: whoever ended the tests need not wait for them."""
        self._one.shutdown(wait=False, cancel_futures=True)

    def _fit(self, name: str) -> Path:
        folder = self._folder / name
        with (self._folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "said").exists():  # which is written last
                folder.mkdir(exist_ok=True)
                log, how = _source(name, folder)
                said = run("training.cli", "fit", str(log), "--out", str(folder / "bundle"), *how)
                (folder / "said").write_text(said, encoding="utf-8")
        return folder


def _source(name: str, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """What is fitted, and with which options."""
    from tests.session_log import OPTIONS, QUICK, write_log  # noqa: PLC0415  (conftest comes before numpy)

    if name != JOBS:
        system, how = RECORDED[name]
        return FIXTURES / system / "train", how
    write_log(folder / "normal.log", jobs=JOBS_COUNT)
    return folder / "normal.log", (*OPTIONS, *QUICK)
