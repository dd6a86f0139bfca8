"""Which files there are at this moment. Looks at folders; opens nothing."""

import os
import re
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from detector.errors import Unreadable
from detector.inputs.archives import unreadable
from detector.inputs.batch import Trouble
from detector.inputs.mark import Identity
from detector.inputs.paths import is_text, listed, nothing
from detector.inputs.twins import preferred

LISTINGS = 5  # of a folder that changes while it is listed
# What rotation appends: .1, -20260131, .2026-01-31T00:00, .old; and then packing
_ROTATED = re.compile(r"(?:[.\-_]\d[\d.\-_T:]*|\.old)?(?:\.(?:gz|zst))?$")
_NUMBERED = re.compile(r"[.\-_](\d{1,3})(?:\.(?:gz|zst))?$")


@dataclass(frozen=True, slots=True)
class Seen:
    """A regular file as it was found."""

    path: str
    identity: Identity
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(slots=True)
class Sighting:
    """One look at all patterns, and at folders where something is missed."""

    files: dict[Identity, Seen] = field(default_factory=dict)
    paths: dict[str, Seen] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    _folders: dict[str, list[Seen]] = field(default_factory=dict)

    def at(self, path: str) -> Seen | None:
        """The file at a path, looked for where it has not been found.

        Raises:
            OSError: that cannot be told now.
        """
        return self.paths.get(path) or see(path)

    def around(self, path: str) -> list[Seen]:
        """The files in the same folder as `path`, whether a pattern matches them or not."""
        folder = os.path.dirname(path)  # noqa: PTH120  # text in, text out
        if folder not in self._folders:
            self._folders[folder] = _files_in(folder)
        return self._folders[folder]

    def look_again(self, path: str) -> None:
        """Forget what was found around `path`."""
        self._folders.pop(os.path.dirname(path), None)  # noqa: PTH120  # the same


def look(patterns: Sequence[str]) -> Sighting:
    """Find what the patterns match; a file with two names is found once, as in `paths.find`."""
    sighting = Sighting()
    for pattern in patterns:
        try:
            paths = list(listed(pattern))
            for path in paths:
                _note(sighting, path, patterns)
            if not paths:
                sighting.troubles.append(Trouble(pattern, nothing(pattern)))
        except Unreadable as error:
            sighting.troubles.append(Trouble(pattern, str(error)))
    return sighting


def see(path: str) -> Seen | None:
    """The regular file at a path, if there is one.

    Raises:
        OSError: that cannot be told now (permission, disk, network).
    """
    try:
        found = os.stat(path)  # noqa: PTH116  # asked for every file on every poll
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Seen(
        path, Identity(found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


def family(path: str) -> str:
    """The path without what rotation and packing append: app.log for app.log.2.gz."""
    return _ROTATED.sub("", path, count=1)


def is_rotation_of(path: str, original: str) -> bool:
    """Whether rotation could have given `original` this path."""
    suffix = path.removeprefix(original)
    return path.startswith(original) and bool(suffix) and _ROTATED.fullmatch(suffix) is not None


def age(seen: Seen) -> tuple[int, int]:
    """Sorts the rotated files of one path, oldest first: app.log.3 before app.log.2 of the same moment."""
    numbered = _NUMBERED.search(seen.path)
    return seen.mtime_ns, -int(numbered.group(1)) if numbered else 0


def _note(sighting: Sighting, path: str, named: Collection[str]) -> None:
    if not is_text(path):
        sighting.troubles.append(Trouble(repr(path), f"{path!r}: its name is not UTF-8; rename it."))
        return
    try:
        seen = see(path)
    except OSError as error:
        sighting.troubles.append(Trouble(path, str(unreadable(path, error))))
        return
    if seen:
        other = sighting.files.get(seen.identity, seen)
        sighting.files[seen.identity] = seen if preferred(path, other.path, named) == path else other
        sighting.paths[path] = seen


def _files_in(folder: str) -> list[Seen]:
    """All files of a folder; rotation may rename them meanwhile, so two looks must find the same."""
    seen = _listing(folder)
    for _ in range(LISTINGS):
        before, seen = seen, _listing(folder)
        if [(each.path, each.identity) for each in before] == [(each.path, each.identity) for each in seen]:
            break
    return seen


def _listing(folder: str) -> list[Seen]:
    try:
        paths = sorted(entry.path for entry in os.scandir(folder))
        return [seen for path in paths if is_text(path) and (seen := see(path))]
    except OSError:
        return []  # what cannot be found for that is missed, and looked for again
