"""Check where a command is told to write, before it starts. Looks at folders."""

from pathlib import Path

from detector.errors import BadSetup


def need_folder(path: Path | None, option: str) -> None:
    """Make sure that the folder of an output file is there: a missing one is more often a slip than meant.

    Raises:
        BadSetup: it is missing; the message names it and the option.
    """
    if path is not None and not path.parent.is_dir():
        raise BadSetup(f"{option} {path}: there is no folder {path.parent}; create it or correct the path")
