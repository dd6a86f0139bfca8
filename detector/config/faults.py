"""Turn what the check found into one line that says where, what and what to do. No I/O."""

import dataclasses
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic_core import ErrorDetails

from detector.config.environment import PREFIX, Loc
from detector.config.options import Settings
from detector.config.reference import rows

# What to do, for the kinds of fault whose own words would speak of Python.
ADVICE = {
    "missing": "is needed and missing: add it",
    "tuple_type": 'not a list: write ["one", "two"]',
    "string_type": "not text: put it in quotes",
    "bool_parsing": "neither true nor false: write one of them",
    "bool_type": "neither true nor false: write one of them",
    "int_parsing": "not a whole number: write digits only",
    "int_type": "not a whole number: write digits only",
    "int_from_float": "not a whole number: write digits only",
    "float_parsing": "not a number: write digits, with a point where needed",
    "float_type": "not a number: write digits, with a point where needed",
    "finite_number": "not a finite number: write one",
    "path_type": "not a path: put it in quotes",
    "dataclass_type": "not a table: write it as a section of its own",
    "string_pattern_mismatch": "not a name: use a-z, 0-9 and dashes",
}


UNKNOWN_KEY = "unexpected_keyword_argument"


def explain(fault: ErrorDetails, file: str, variables: Mapping[Loc, str]) -> str:
    """One line about one fault; the value itself is left out, it may be a secret."""
    loc = fault["loc"]
    named = (f"variable {name}" for at, name in variables.items() if _is_about(fault, at))
    return f"{next(named, file)}: {'.'.join(map(str, loc))}: {_advice(fault)}"


def explain_stray(name: str) -> str:
    """One line about a variable with our prefix that sets nothing."""
    known = [row.variable.removeprefix(PREFIX) for row in rows()]  # all begin alike: that says nothing
    near = get_close_matches(name.removeprefix(PREFIX), known, n=1)
    advice = f"did you mean {PREFIX}{near[0]}?" if near else "a name is TAILRACE_SECTION__KEY; unset it"
    return f"variable {name}: sets nothing: {advice}"


def _is_about(fault: ErrorDetails, at: Loc) -> bool:
    """Whether what is set at a place caused the fault; a variable can bring an unknown section along."""
    loc = fault["loc"]
    return at == loc[: len(at)] or (fault["type"] == UNKNOWN_KEY and loc == at[: len(loc)])


def _advice(fault: ErrorDetails) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == UNKNOWN_KEY:
        return f"unknown key: {_nearest(fault['loc'])}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"not among the choices: write {context['expected']}"
    if kind in ADVICE:
        return ADVICE[kind]
    return fault["msg"].replace("Input should be", "has to be")


def _nearest(loc: Loc) -> str:
    known = _keys(Settings, loc[:-1])
    near = get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _keys(kind: Any, loc: Loc) -> list[str]:
    """The keys that the table at a place can have."""
    for key in loc:
        if isinstance(key, str):
            kind = next(field.type for field in dataclasses.fields(kind) if field.name == key)
        else:
            kind = get_args(kind)[0]
    return [field.name for field in dataclasses.fields(kind)]
