"""Fields of JSON objects by name, dotted or nested. Pure."""

from collections.abc import Iterable, Iterator

Object = dict[str, object]
Getter = tuple[str, str]  # key at the top, dotted rest within its value (empty: the value itself)

MOST_DEPTH = 8  # objects within objects


def getters(names: Iterable[str], keys: Iterable[str]) -> list[Getter]:
    """The ways in which an object with these keys can have the fields, in the order of the names."""
    present = frozenset(keys)
    return [(key, rest) for name in names for key, rest in splits(name) if key in present]


def splits(name: str) -> Iterator[Getter]:
    """Every split of a dotted name into a key and the rest, the whole name first."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        yield ".".join(parts[:cut]), ".".join(parts[cut:])


def is_there(fields: Object, getter: Getter) -> bool:
    """Whether an object, which has the getter's key, may have a value there."""
    key, rest = getter
    inner = fields[key]
    return not rest or (isinstance(inner, dict) and any(head in inner for head, _ in splits(rest)))


def value_at(value: object, rest: str) -> object:
    """The value under a dotted name within `value`; None where there is none."""
    if not rest:
        return value
    if not isinstance(value, dict):
        return None
    found = value.get(rest)
    if found is not None or "." not in rest:
        return found
    head, _, tail = rest.partition(".")
    found = value_at(value.get(head), tail)
    return _mixed(value, rest) if found is None and "." in tail else found


def _mixed(value: dict[str, object], rest: str) -> object:
    """`value_at` where some of the dots are part of a key."""
    ways = (value_at(value[key], further) for key, further in splits(rest) if key in value)
    return next((found for found in ways if found is not None), None)


def scalar_text(value: object) -> str | None:
    """A scalar as text: strings as they are, true and false in lower case; None for all else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def scalars(value: object, name: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The scalars within `value` with their dotted names; lists are left out."""
    if isinstance(value, dict) and depth < MOST_DEPTH:
        for key, inner in value.items():
            yield from scalars(inner, f"{name}.{key}" if name else str(key), depth + 1)
    else:
        text = scalar_text(value)
        if text is not None:
            yield name, text


def key_values(fields: Iterable[tuple[str, str]]) -> str:
    """The fields as `key=value …` in the order of their names, quoted where a value holds a blank."""
    return " ".join(f"{name}={_quoted(text)}" for name, text in sorted(fields))


def _quoted(text: str) -> str:
    if text and not any(character in text for character in ' "=\n\t'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
