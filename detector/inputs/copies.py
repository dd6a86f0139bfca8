"""Know a copy beside a followed file, so that it is not read as a new one. Reads files.

copytruncate copies a file before it truncates it, and packing leaves the packed file beside the plain one
for a while. Until that is decided the copy is left alone; afterwards it may be where the content lies on.
"""

from collections.abc import Iterable

from detector.inputs.life import Life
from detector.inputs.mark import Ends, Fit, Identity, begins_with, compare, ends_of
from detector.inputs.sighting import Seen


class Copies:
    """The copies of the last look; a copy may be shorter than what was read of its original."""

    def __init__(self) -> None:
        """Know none."""
        self._names: dict[Identity, str] = {}
        self._noted: dict[Identity, str] = {}
        self._strange: set[Identity] = set()
        self._doubted: set[Identity] = set()
        self._ends: dict[Seen, Ends] = {}
        self._asked: dict[Seen, Ends] = {}

    def begin_look(self) -> None:
        """What was not asked for again is forgotten."""
        self._names, self._noted = self._noted, {}
        self._strange, self._doubted = self._doubted, set()
        self._ends, self._asked = self._asked, {}

    def note(self, seen: Seen, life: Life) -> None:
        """Remember of what a file is a copy."""
        self._noted[seen.identity] = life.mark.name

    def doubt(self, seen: Seen) -> bool:
        """Whether this is the first look at a file with a rotated name: it may have been renamed just now."""
        self._doubted.add(seen.identity)
        return seen.identity not in self._strange

    def was_copy(self, seen: Seen) -> bool:
        """Whether the file was a copy at the last look."""
        return seen.identity in self._names

    def was_copy_of(self, seen: Seen, life: Life) -> bool:
        """Whether the file was a copy of this content at the last look."""
        return self._names.get(seen.identity) == life.mark.name

    def original(self, seen: Seen, relatives: Iterable[Life]) -> Life | None:
        """The content of which a file is a copy, if it is one.

        Raises:
            FileNotFoundError: one of them was renamed or removed a moment ago: the next look tells.
        """
        for life in relatives:
            if life.is_archive or life.mark.origin == seen.path:
                continue
            if self.begins(life.mark.path, life.mark.identity, seen) or self._is_longer(life, seen):
                return life
        return None

    def begins(self, path: str, identity: Identity, seen: Seen) -> bool:
        """Whether the plain file at `path` begins with what another file holds.

        Raises:
            FileNotFoundError: one of them was renamed or removed a moment ago.
        """
        try:
            return begins_with(path, identity, self._ends_of(seen))
        except FileNotFoundError:
            raise
        except OSError:
            return False

    def _is_longer(self, life: Life, seen: Seen) -> bool:
        """Whether the original was truncated after it was looked at just now."""
        try:
            return (
                not seen.path.endswith((".gz", ".zst"))
                and compare(seen.path, seen.identity, life.mark) is Fit.WHOLE
            )
        except FileNotFoundError:
            raise
        except OSError:
            return False

    def _ends_of(self, seen: Seen) -> Ends:
        if seen not in self._asked:
            self._asked[seen] = self._ends.get(seen) or ends_of(seen.path, seen.identity)
        return self._asked[seen]
