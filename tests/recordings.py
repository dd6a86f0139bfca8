"""The recorded logs of real servers, and how they are read. Reads files, runs commands."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
SESSION_ID = r"^\S+ \S+ UTC \[\d+\] ([0-9a-f]+\.[0-9a-f]+)"  # one connection, named in every line
SYSTEMS = ("redis", "postgres")


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


def shipped(recording: Path) -> dict[str, list[bytes]]:
    """The lines of each log of a recording as a shipper sends them: JSON, with the file's name in it."""
    return {
        log.name: [
            json.dumps({"file": log.name, "message": line.decode("utf-8", "replace")}).encode()
            for line in gzip.decompress(log.read_bytes()).splitlines()
        ]
        for log in sorted(recording.glob("*.log.gz"))
    }
