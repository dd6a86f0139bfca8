"""Write recorded logs to a folder a little at a time, as their servers did."""

import gzip
import sys
import time
from pathlib import Path

SECONDS = 12.0
STEPS = 120


def main(recording: Path, folder: Path) -> None:
    """Write every log of a recording, all of them in step."""
    logs = {path: gzip.open(path).readlines() for path in sorted(recording.glob("*.log.gz"))}
    for step in range(STEPS):
        for path, lines in logs.items():
            part = lines[step * len(lines) // STEPS : (step + 1) * len(lines) // STEPS]
            with (folder / path.name.removesuffix(".gz")).open("ab") as file:
                file.writelines(part)
        time.sleep(SECONDS / STEPS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
