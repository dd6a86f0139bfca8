"""Find out what happened to the followed files since the last look. Reads files.

Rename and compression move a content, truncation and a reused inode replace it, and a copy beside a file
is not a new file. Rules, in the order in which they are applied:

1. A content is where its inode is, as long as that still begins with what was read of it.
2. A content that is not found is looked for in its folder: under a rotated name, by what it begins with.
3. What is left and begins as a living content of its family does is a copy of it, and is not read. At the
   first look only an archive beside the file that it was packed from is one.
4. What is left is new. A path that was read before gets a new generation, and so do files that rotation
   moved away from it between two looks.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from detector.errors import Unreadable
from detector.inputs.archives import is_archive, unreadable
from detector.inputs.batch import Loss, Trouble
from detector.inputs.binary import Told, refusal
from detector.inputs.copies import Copies
from detector.inputs.life import (
    SETTLED,
    Life,
    accept_cut,
    begin,
    detach,
    holding,
    settle,
    skip_to_end,
    stamp_of,
    suspend,
)
from detector.inputs.mark import NOWHERE, SPAN_BYTES, Fit, Identity, compare
from detector.inputs.sighting import Seen, Sighting, age, family, is_rotation_of
from detector.inputs.twins import plain_name

LOOKS = 3  # at a folder, for one file
Lives = dict[str, Life]  # by the name of their mark, in the order in which they began


@dataclass(slots=True)
class Rotation:
    """One look at all contents."""

    lives: Lives
    sighting: Sighting
    copies: Copies
    binaries: Told
    losses: list[Loss] = field(default_factory=list)
    unsettled: set[str] = field(default_factory=set)  # origins of which the next look tells more
    _homes: set[Identity] = field(default_factory=set)
    _newest: dict[str, Life] = field(default_factory=dict)  # by origin
    _kin: dict[str, list[Life]] = field(default_factory=dict)  # by family

    def find_all(self) -> None:
        """Rules 1 and 2."""
        self.copies.begin_look()
        self.binaries.begin_look()
        for life in self.lives.values():
            self._find(life)
            if not life.missing:
                self._homes.add(life.mark.identity)
        for life in self.lives.values():
            if life.missing:
                self._find_again(life)
            if life.missing == SETTLED:
                self._count_loss(life)

    def take_new(self, is_first: Callable[[str], bool], *, from_end: bool) -> None:
        """Rules 3 and 4; `is_first` tells of a path whether nobody has asked for it before."""
        self._newest = {life.mark.origin: life for life in self.lives.values()}
        # Missed a moment ago and there now: it is found at the next look
        self._homes |= {life.mark.identity for life in self.lives.values()}
        for last in list(self._newest.values()):
            if not self._is_settled(last):
                self.unsettled.add(last.mark.origin)
        for seen in sorted(self._loose(), key=lambda seen: is_archive(seen.path)):  # after what it may hold
            try:
                self._take(seen, first=is_first(seen.path), from_end=from_end)
            except FileNotFoundError:
                self.unsettled.add(seen.path)

    def _is_settled(self, last: Life) -> bool:
        """Whether what may follow this content at its path is known."""
        if last.missing and not last.is_gone:
            return False
        try:
            return self._is_in_place(last) or self._take_missed(last)
        except FileNotFoundError:
            return False

    def _take(self, seen: Seen, *, first: bool, from_end: bool) -> None:
        original = self.copies.original(seen, self._unpacked(seen) if first else self._relatives(seen))
        if original:
            self.copies.note(seen, original)
        elif not first and self._may_belong_elsewhere(seen):
            self.unsettled.add(seen.path)
        else:
            self._begin(seen.path, seen, from_end=from_end and first)

    def _may_belong_elsewhere(self, seen: Seen) -> bool:
        """Whether the content before this one, or the one that this may be, is still looked for."""
        origin = family(seen.path)
        if {seen.path, origin} & self.unsettled:
            return True
        return seen.path not in self._newest and origin in self._newest and self.copies.doubt(seen)

    def _relatives(self, seen: Seen) -> list[Life]:
        if not self._kin:
            for life in self.lives.values():
                self._kin.setdefault(family(life.mark.path), []).append(life)
        return [life for life in self._kin.get(family(os.path.realpath(seen.path)), ()) if not life.missing]

    def _unpacked(self, seen: Seen) -> list[Life]:
        """What an archive may have been packed from: at first, to begin alike is not enough for a copy."""
        if not is_archive(seen.path):
            return []
        plain = plain_name(os.path.realpath(seen.path))
        return [life for life in self._relatives(seen) if life.mark.path == plain]

    def _find(self, life: Life) -> None:
        """Rule 1."""
        mark = life.mark
        life.missing += 1
        if mark.identity == NOWHERE:
            return
        try:
            seen = self.sighting.at(mark.path)
        except OSError as error:
            suspend(life, error)
            return
        if seen is None or seen.identity != mark.identity:
            seen = self.sighting.files.get(mark.identity) or _moved(life, self.sighting)
        if seen is None:
            return
        found = holding(life, seen)
        if (
            found is Fit.SHORT
            and seen.size >= max(mark.offset, mark.tail_at)
            and not self._is_kept_elsewhere(life)
        ):
            accept_cut(life, seen.size)
            found = Fit.WHOLE
        if found is Fit.WHOLE:
            settle(life, seen)
        else:
            detach(life)

    def _is_kept_elsewhere(self, life: Life) -> bool:
        """Whether a file that got shorter was copied before."""
        around = self.sighting.around(life.mark.path)
        kin = [seen for seen in around if seen.identity != life.mark.identity and _is_kin(life, seen)]
        return any(_fit(life, seen) is Fit.WHOLE for seen in kin)

    def _loose(self) -> list[Seen]:
        files = self.sighting.files
        return [seen for seen in files.values() if seen.size and seen.identity not in self._homes]

    def _find_again(self, life: Life) -> None:
        for _ in range(LOOKS if life.missing <= SETTLED else 1):
            self._try_candidates(life)
            if not life.missing:
                self._homes.add(life.mark.identity)
                return
            self.sighting.look_again(life.mark.path)

    def _try_candidates(self, life: Life) -> None:
        candidates = [seen for seen in self._candidates(life) if _is_kin(life, seen)]
        whole = (seen for seen in candidates if _fit(life, seen) is Fit.WHOLE)
        if seen := next(whole, None):
            settle(life, seen)
        elif not life.is_gone and (
            seen := next((s for s in candidates if self._is_short_copy(life, s)), None)
        ):
            settle(life, seen)
            accept_cut(life, life.mark.offset if life.is_archive else seen.size)

    def _candidates(self, life: Life) -> list[Seen]:
        """Plain files first: an archive must be unpacked to be compared."""
        found = {
            seen.identity: seen for seen in self._loose() if not (life.is_gone and self.copies.was_copy(seen))
        }
        if life.missing <= SETTLED:
            around = self.sighting.around(life.mark.path)
            found |= {
                seen.identity: seen for seen in around if seen.size and seen.identity not in self._homes
            }
        return sorted(found.values(), key=lambda seen: (is_archive(seen.path), seen.path))

    def _is_short_copy(self, life: Life, seen: Seen) -> bool:
        """Whether the writer went on between the copying and the truncation, and that was read."""
        if os.path.realpath(seen.path) == life.mark.path:
            return False
        return self.copies.was_copy_of(seen, life) or _fit(life, seen) is Fit.SHORT

    def _count_loss(self, life: Life) -> None:
        mark = life.mark
        unread = mark.size * (not mark.done) if life.is_archive else mark.size - mark.offset
        if unread > 0:
            self.losses.append(Loss(mark.origin, mark.generation, unread))
            mark.size = mark.offset

    def _is_in_place(self, last: Life) -> bool:
        seen = self.sighting.files.get(last.mark.identity)
        return seen is not None and seen.path == last.mark.origin

    def _take_missed(self, last: Life) -> bool:
        """Take the contents that came and went at a path between two looks, oldest first.

        False where one was renamed at that moment: what follows it must wait.
        """
        origin = last.mark.origin
        new = next((seen for seen in self._loose() if seen.path == origin), None)
        if last.is_gone and new is None:
            return True  # nothing is rotated there any longer
        taken = self._homes | {new.identity} if new else self._homes
        around = [seen for seen in self.sighting.around(last.mark.path) if seen.size]
        later = [
            seen for seen in around if seen.identity not in taken and seen.mtime_ns >= last.mark.mtime_ns
        ]
        rotated = [seen for seen in later if is_rotation_of(seen.path, os.path.realpath(origin))]
        for seen in sorted(rotated, key=age):
            if not self._is_copy(seen, new) and not self._begin(origin, seen, from_end=False):
                return False
        return True

    def _is_copy(self, seen: Seen, new: Seen | None) -> bool:
        if new and self.copies.begins(new.path, new.identity, seen):
            return True
        return self.copies.original(seen, self._relatives(seen)) is not None

    def _begin(self, origin: str, seen: Seen, *, from_end: bool) -> bool:
        """Whether the file was still where it was found."""
        last = self._newest.get(origin)
        if why := self.binaries.why(seen.path, seen.identity, stamp_of(seen)):
            trouble = Trouble(seen.path, f"{refusal(seen.path, why)}; it is left out", is_skipped=True)
            self.sighting.troubles.append(trouble)
            return True
        try:
            life = begin(origin, last.mark.generation + 1 if last else 0, seen)
            if life is None:
                return True
            if from_end:
                skip_to_end(life)
        except Unreadable as error:
            self.sighting.troubles.append(Trouble(seen.path, str(error)))
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            self.sighting.troubles.append(Trouble(seen.path, str(unreadable(seen.path, error))))
            return True
        self.lives[life.mark.name] = life
        self._homes.add(seen.identity)
        self._newest[origin] = life
        if self._kin:
            self._kin.setdefault(family(life.mark.path), []).append(life)
        return True


def _fit(life: Life, seen: Seen) -> Fit:
    try:
        return compare(seen.path, seen.identity, life.mark)
    except OSError:
        return Fit.OTHER


def _moved(life: Life, sighting: Sighting) -> Seen | None:
    """Where the file is now; looked for again and again, for it may be renamed while it is looked for."""
    if life.is_gone:
        return None
    for _ in range(LOOKS):
        around = sighting.around(life.mark.path)
        if seen := next((seen for seen in around if seen.identity == life.mark.identity), None):
            return seen
        sighting.look_again(life.mark.path)
    return None


def _is_kin(life: Life, seen: Seen) -> bool:
    """Whether rotation could have made this file from the content's file."""
    path = os.path.realpath(seen.path)
    if path == life.mark.path:
        # Replaced by a copy of itself with more lines (rsync); not truncated, and not a new file that
        # happens to begin with the same few lines.
        return life.mark.identity != NOWHERE and not life.is_gone and life.mark.tail_at >= SPAN_BYTES
    return family(path) == family(life.mark.path)
