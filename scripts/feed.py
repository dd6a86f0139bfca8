"""Write recorded logs to a folder as their servers did, in the order of their times, but faster."""

import gzip
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

SECONDS = 12.0
STEPS = 240
STAMP = re.compile(rb"\d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d")


def main(recording: Path, folder: Path) -> None:
    """Write every log of a recording to a folder."""
    for step in steps(recording):
        for name, lines in step.items():
            with (folder / name).open("ab") as file:
                file.writelines(lines)
        time.sleep(SECONDS / STEPS)


def steps(recording: Path) -> Iterator[dict[str, list[bytes]]]:
    """The lines of every log of a recording; each step is an equal part of the recorded time."""
    logs = {
        path.name.removesuffix(".gz"): timed(gzip.decompress(path.read_bytes()).splitlines(keepends=True))
        for path in sorted(recording.glob("*.log.gz"))
    }
    begin = min(lines[0][0] for lines in logs.values())
    end = max(lines[-1][0] for lines in logs.values())
    for step in range(1, STEPS + 1):
        until = begin + (end - begin) * step / STEPS
        due = {name: [line for at, line in lines if at <= until] for name, lines in logs.items()}
        for name, lines in logs.items():
            del lines[: len(due[name])]
        yield due


def timed(lines: list[bytes]) -> list[tuple[float, bytes]]:
    """Lines with their times in seconds, never falling; a line without one has that of the line before."""
    newest, found = 0.0, []
    for line in lines:
        if stamp := STAMP.search(line):
            at = datetime.strptime(stamp[0].decode(), "%d %b %Y %H:%M:%S").replace(tzinfo=UTC)
            newest = max(newest, at.timestamp())
        found.append((newest, line))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
