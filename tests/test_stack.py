"""`make up` and `make down`: a broker, a Redis and a worker that go on running, and their end."""

import json
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

from tests.fits import Fits

ROOT = Path(__file__).parent.parent


def stack(what: str, folder: Path, bundle: Path) -> str:
    """Run the script as the Makefile does, the sample logs faster; gives what it said."""
    command = [sys.executable, "-m", "scripts.stack", what, "--folder", str(folder), "--bundle", str(bundle)]
    command += ["--seconds", "0.5"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def processes(folder: Path, redis: bytes) -> set[str]:
    """What runs with this folder or this server's address in its command line."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        if bytes(folder) in command or redis in command:
            found.add(path.parent.name)
    return found


def test_what_up_starts_is_at_work_and_nothing_is_left_after_down(fits: Fits, tmp_path: Path) -> None:
    """Three processes, ready, and the incident of the sample logs is found."""
    folder, bundle = tmp_path / "stack", fits.start("redis").result() / "bundle"
    try:
        said = stack("up", folder, bundle)
        started = json.loads((folder / "pids.json").read_text())
        redis = said.partition("redis://")[2].split()[0].encode()
        assert processes(folder, redis) == {str(pid) for pid in started.values()}
        web = said.partition("http://")[2].partition("/")[0]
        with urlopen(f"http://{web}/readyz") as answer:
            assert answer.status == HTTPStatus.OK
        assert "/logs/" in said.partition("3/3")[2]  # sources of alerts, and in nothing else
    finally:
        ended = stack("down", folder, bundle)
    assert ended.split("\n")[:-1] == ["stopped worker", "stopped redis", "stopped kafka"]
    assert processes(folder, redis) == set()
