"""The recorded logs of real servers, and the bundles that are fitted on them once for all tests."""

import gzip
import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
SESSION_ID = r"^\S+ \S+ UTC \[\d+\] ([0-9a-f]+\.[0-9a-f]+)"  # one connection, named in every line
SYSTEMS = ("redis", "postgres")
FITS = {
    "redis": ("redis", ("--budget", "1")),
    "postgres": ("postgres", ("--budget", "1")),
    "sessions": ("postgres", ("--session", "--source-regex", SESSION_ID)),
}


def names_of(system: str) -> list[str]:
    """Every recording of a server that is not fitted."""
    return sorted(one.name for one in (FIXTURES / system).iterdir() if one.is_dir() and one.name != "train")


def run(module: str, *arguments: str) -> str:
    """Run a command as a user does, and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Fits:
    """Bundles that are fitted one after the other while other tests run: that takes minutes."""

    def __init__(self, folder: Path) -> None:
        """Begin with none."""
        self._folder, self._made = folder, dict[str, Future[Path]]()
        self._one = ThreadPoolExecutor(max_workers=1)

    def start(self, name: str) -> "Future[Path]":
        """Fit a bundle of a server's training recording, once."""
        if name not in self._made:
            self._made[name] = self._one.submit(self._fit, name)
        return self._made[name]

    def _fit(self, name: str) -> Path:
        system, how = FITS[name]
        bundle = self._folder / name
        run("training.cli", "fit", str(FIXTURES / system / "train"), "--out", str(bundle), *how)
        return bundle


def shipped(recording: Path) -> dict[str, list[bytes]]:
    """The lines of each log of a recording as a shipper sends them: JSON, with the file's name in it."""
    return {
        log.name: [
            json.dumps({"file": log.name, "message": line.decode("utf-8", "replace")}).encode()
            for line in gzip.decompress(log.read_bytes()).splitlines()
        ]
        for log in sorted(recording.glob("*.log.gz"))
    }
