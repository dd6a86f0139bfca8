"""Check where a command is told to write, before it starts. Looks at folders."""

from collections.abc import Iterator
from pathlib import Path

from detector.errors import BadSetup


def need_folder(path: Path | None, option: str) -> None:
    """Make sure that an output file can be made.

    Raises:
        BadSetup: it cannot; the message names it and the option.
    """
    if path is not None:
        for fault in unwritable(path, option):
            raise BadSetup(fault)


def unwritable(path: Path, option: str) -> Iterator[str]:
    """Why no file can be made there: a missing folder is more often a slip than meant."""
    if not path.parent.is_dir():
        yield f"{option} {path}: there is no folder {path.parent}; create it or correct the path"
    elif path.is_dir():
        yield f"{option} {path}: this is a folder; name a file, such as one in it"
