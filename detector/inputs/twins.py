"""Which name a content is read by where it has several. Looks at files, and into archives beside plain files.

A link is another name of its file. An archive beside the file that it was packed from is a copy of it, as
`gzip -k` leaves and packing does while it works; what it holds tells, for a log that is packed no longer
may have left an older archive of the same name behind.
"""

import os
from collections.abc import Callable, Collection

from detector.inputs.archives import is_archive
from detector.inputs.mark import Identity, begins_with, ends_of
from detector.inputs.siblings import is_rotated


def once(paths: Collection[str], named: Collection[str], told: Callable[[str], object]) -> list[str]:
    """The paths with one for each content; of archives that are left out somebody is `told`.

    Of the names of one file it is the one that somebody named, else the live file's.
    """
    known = set(paths)
    names: dict[Identity | str, str] = {}
    for path in sorted(paths):
        if is_copy(path, known):
            told(f"{path}: holds what {plain_name(path)} holds; it is left out")
            continue
        identity = _name(path)
        names[identity] = preferred(path, names.get(identity, path), named)
    return list(names.values())


def preferred(one: str, other: str, named: Collection[str]) -> str:
    """The better of two names of one file."""
    if one == other:
        return one
    return min(
        one,
        other,
        key=lambda path: (path not in named, is_rotated(path), os.path.islink(path), path),  # noqa: PTH114
    )


def plain_name(path: str) -> str:
    """The name of the file that an archive was packed from."""
    return path.rpartition(".")[0]


def is_copy(path: str, known: Collection[str]) -> bool:
    """Whether it is an archive of a plain file that is known too."""
    if not is_archive(path) or plain_name(path) not in known:
        return False
    try:
        return begins_with(plain_name(path), _identity(plain_name(path)), ends_of(path, _identity(path)))
    except OSError:
        return False  # whoever reads the files says so


def _name(path: str) -> Identity | str:
    """What two names of one file have in common; a path that names none (`-`) is itself."""
    try:
        return _identity(path)
    except OSError:
        return path


def _identity(path: str) -> Identity:
    found = os.stat(path)  # noqa: PTH116
    return Identity(found.st_dev, found.st_ino)
