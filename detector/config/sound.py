"""Put aside what is wrong, so that the rest can be looked at in the same go. Pure."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from detector.config.environment import Loc, put

# For what has no default, or of which somebody else would say that it is missing.
RECEIVERS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "webhook": {"name": "stand-in", "url": "https://stand.in"},
        "jsonl": {"name": "stand-in", "path": "-"},
        "kafka": {"name": "stand-in", "topic": "stand-in-alerts"},
    }
)
STAND_INS: Final[Mapping[Loc, Any]] = MappingProxyType(
    {
        ("kafka", "brokers"): ("stand.in:9092",),
        ("kafka", "topics"): ("stand-in",),
        ("redis", "url"): "redis://stand.in",
    }
)
_OF_RECEIVERS = "receivers"


def option_of(loc: Loc) -> Loc:
    """Where the option is that a fault lies in: its section and its name, of a receiver its number too."""
    return loc[: 4 if loc[0] == _OF_RECEIVERS else 2]


def sound(tree: dict[str, Any], options: Iterable[Loc]) -> dict[str, Any]:
    """The tree without the options that are wrong, or with stand-ins where something has to be."""
    for loc in options:
        stand_in = _stand_in(loc)
        tree = _without(tree, loc) if stand_in is None else put(tree, loc, stand_in)
    return tree


def _stand_in(loc: Loc) -> Any:
    match loc:
        case ("receivers", str(kind), int()) if kind in RECEIVERS:
            return dict(RECEIVERS[kind])
        case ("receivers", str(kind), int(), str(key)) if kind in RECEIVERS:
            return RECEIVERS[kind].get(key)
        case _:
            return STAND_INS.get(loc)


def _without(tree: Any, loc: Loc) -> Any:
    key, rest = loc[0], loc[1:]
    if isinstance(tree, list):
        return [_without(one, rest) if at == key else one for at, one in enumerate(tree)]
    if rest:
        return {**tree, key: _without(tree[key], rest)}
    return {name: one for name, one in tree.items() if name != key}
