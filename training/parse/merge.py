"""Decide by evidence which positions of masked patterns vary, and merge the patterns. No I/O.

Two patterns that differ in one word may be two events or one event with two values. A position is
taken for a value only when enough different words were seen in it, fewer where the rest of the
pattern says much, and never when one of them is a protected word.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from training.parse.protected import is_protected

WILD: Final = "<*>"
Pattern = tuple[str, ...]
Family = tuple[tuple[int, ...], list[Pattern]]
FEWEST_VALUES: Final = 2
NEEDED: Final = (4, 3, 2)  # different words, by how many literals are shared
NEEDED_FIRST: Final = (12, 6, 3)  # the first word says most about what a line is
MANY_LITERALS: Final = (8, 14)
LONGEST_PAIRED: Final = 30  # tokens; longer patterns are not looked at two positions at a time


def merge(patterns: Iterable[Pattern]) -> list[Pattern]:
    """The patterns with every position that varies as a wildcard, in the order of first sight."""
    by_length: defaultdict[int, dict[Pattern, None]] = defaultdict(dict)
    order: dict[Pattern, int] = {}
    for pattern in patterns:
        by_length[len(pattern)].setdefault(pattern)
        order.setdefault(pattern, len(order))
    variable: set[str] = set()
    for _ in range(2):  # the second round knows which words were values elsewhere
        for length, group in by_length.items():
            by_length[length] = _merge_group(group, variable, order)
    merged = [pattern for group in by_length.values() for pattern in group]
    return sorted(merged, key=order.__getitem__)


def _merge_group(
    group: dict[Pattern, None], variable: set[str], order: dict[Pattern, int]
) -> dict[Pattern, None]:
    while families := _families(group, variable):
        for positions, members in families:
            present = [member for member in members if member in group]
            if not _varies(positions, present, variable):
                continue
            wild = tuple(WILD if at in positions else token for at, token in enumerate(present[0]))
            for member in present:
                variable.update(member[at] for at in positions)
                del group[member]
            group[wild] = None
            order[wild] = min(order.get(wild, len(order) + 1), *(order[member] for member in present))
    return group


def _families(group: dict[Pattern, None], variable: set[str]) -> list[Family]:
    """Patterns equal but for some positions that vary, the largest family first."""
    if len(group) < FEWEST_VALUES:
        return []
    length = len(next(iter(group)))
    found: list[Family] = []
    for positions in _places(group, length):
        families: defaultdict[Pattern, list[Pattern]] = defaultdict(list)
        for pattern in group:
            families[_without(pattern, positions)].append(pattern)
        found.extend(
            (positions, members) for members in families.values() if _varies(positions, members, variable)
        )
        if found and len(positions) == 1 and positions[0] == length - 1:
            break  # single positions first; pairs only where those are used up
    return sorted(found, key=lambda family: -len(family[1]))


def _places(group: dict[Pattern, None], length: int) -> list[tuple[int, ...]]:
    keyed = {tuple(at + 1 for at, token in enumerate(pattern[:-1]) if _is_key(token)) for pattern in group}
    single = [(at,) for at in range(length)]
    pairs = [(a, b) for a in range(length) for b in range(a + 1, length)] if length <= LONGEST_PAIRED else []
    return [*single, *sorted(places for places in keyed if len(places) > 1), *pairs]


def _is_key(token: str) -> bool:
    return len(token) > 1 and token.endswith("=")


def _without(pattern: Pattern, positions: tuple[int, ...]) -> Pattern:
    kept = list(pattern)
    for at in positions:
        kept[at] = ""
    return tuple(kept)


def _varies(positions: tuple[int, ...], members: list[Pattern], variable: set[str]) -> bool:
    """Whether every one of the positions holds values, by what stands in them."""
    if len(members) < FEWEST_VALUES:
        return False
    shape = members[0]
    literals = sum(WILD not in token for at, token in enumerate(shape) if at not in positions)
    if not literals:
        return False  # nothing would be left to tell what the line says
    for at in positions:
        values = {member[at] for member in members}
        if len(values) < FEWEST_VALUES or any(map(is_protected, values)):
            return False
        known = () if at and _is_key(shape[at - 1]) else variable
        hints = sum(_looks_variable(value) or value in known for value in values)
        if 2 * hints < len(values) < _needed(at, shape, values, literals):
            return False
    return True


def _needed(at: int, shape: Pattern, values: set[str], literals: int) -> int:
    """How many different words make a position a value; the more the rest says, the fewer."""
    if all(map(_is_state, values)):
        return NEEDED_FIRST[0]
    if at and _is_key(shape[at - 1]):
        return NEEDED[0]
    needed = NEEDED_FIRST if at == 0 else NEEDED
    return needed[sum(literals >= enough for enough in MANY_LITERALS)]


def _is_state(value: str) -> bool:
    """Words in capitals are names of states, of which a program has several, each an event."""
    return value.isupper() and WILD not in value


def _looks_variable(value: str) -> bool:
    return WILD in value or "/" in value or "@" in value
