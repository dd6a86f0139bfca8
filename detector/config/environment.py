"""Lay the environment's overrides over what a file says. Pure: the environment is an argument.

TAILRACE_BATCH__MAX_LINES=100 sets max_lines of [batch]; receivers are numbered from 0:
TAILRACE_RECEIVERS__WEBHOOK__0__SECRET. A value that starts with [ or { is JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

PREFIX = "TAILRACE_"
NESTED = "__"

# What Kubernetes sets in every container for a service called tailrace, or tailrace-something.
_KUBERNETES = re.compile(
    r"TAILRACE_(?:\w+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)

Loc = tuple[str | int, ...]


def overrides(environment: Mapping[str, str]) -> dict[Loc, str]:
    """The name of the variable that sets each key."""
    return {_loc(name): name for name in _ours(environment) if NESTED in name}


def strays(environment: Mapping[str, str]) -> list[str]:
    """Variables with our prefix that set nothing, as they have no double underscore."""
    return [name for name in _ours(environment) if NESTED not in name]


def _ours(environment: Mapping[str, str]) -> list[str]:
    names = sorted(name for name in environment if name.startswith(PREFIX))
    return [name for name in names if NESTED in name or not _KUBERNETES.fullmatch(name)]


def _loc(name: str) -> Loc:
    parts = name.removeprefix(PREFIX).lower().split(NESTED)
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def value(text: str) -> Any:
    """What a variable says: JSON where it looks like a list or an object, else its text."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text  # refused where a list is needed, and right where a regular expression is


def put(tree: Any, loc: Loc, new: Any) -> Any:
    """The tree with one value replaced; tables and lists on the way are made.

    A number past the end of a list adds to its end.
    """
    if not loc:
        return new
    key, rest = loc[0], loc[1:]
    if isinstance(key, str):
        table = tree if isinstance(tree, dict) else {}
        return {**table, key: put(table.get(key), rest, new)}
    items = tree if isinstance(tree, list) else []
    return [*items[:key], put(next(iter(items[key:]), None), rest, new), *items[key + 1 :]]
