"""Write recorded logs to a folder as their servers did, in the order of their times, but faster."""

import gzip
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

SECONDS = 12.0
STEPS = 240
STAMP = re.compile(rb"\d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d")


def main(recording: Path, folder: Path) -> None:
    """Write every log of a recording; each step is an equal part of the recorded time."""
    logs = {
        path: timed(gzip.decompress(path.read_bytes()).splitlines(keepends=True))
        for path in sorted(recording.glob("*.log.gz"))
    }
    begin = min(lines[0][0] for lines in logs.values())
    end = max(lines[-1][0] for lines in logs.values())
    for step in range(1, STEPS + 1):
        until = begin + (end - begin) * step / STEPS
        for path, lines in logs.items():
            due = [line for at, line in lines if at <= until]
            del lines[: len(due)]
            with (folder / path.name.removesuffix(".gz")).open("ab") as file:
                file.writelines(due)
        time.sleep(SECONDS / STEPS)


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
