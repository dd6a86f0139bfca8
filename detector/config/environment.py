"""Lay the environment's overrides over what a file says. Pure: the environment is an argument.

TAILRACE_BATCH__MAX_LINES=100 sets max_lines of [batch]; receivers are numbered from 0:
TAILRACE_RECEIVERS__WEBHOOK__0__SECRET. A value that starts with [ or { is JSON.
"""

import json
from collections.abc import Mapping
from typing import Any

PREFIX = "TAILRACE_"
NESTED = "__"

Loc = tuple[str | int, ...]


def overrides(environment: Mapping[str, str]) -> dict[Loc, str]:
    """The name of the variable that sets each key.

    Variables without a double underscore are somebody else's: Kubernetes adds
    TAILRACE_SERVICE_HOST and others for a service of this name.
    """
    names = sorted(name for name in environment if name.startswith(PREFIX) and NESTED in name)
    return {_loc(name): name for name in names}


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
