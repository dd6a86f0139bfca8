"""Read the configuration, or say everything that is wrong with it at once. Reads files."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from detector.config.contradictions import contradictions
from detector.config.environment import Loc, overrides, put, strays, value
from detector.config.faults import explain, explain_stray
from detector.config.options import Settings
from detector.config.sound import RECEIVERS, option_of, sound
from detector.errors import BadSetup

DEFAULT_FILE = Path("tailrace.toml")
_SETTINGS = TypeAdapter(Settings)


@dataclass(frozen=True, slots=True)
class Looked:
    """A configuration with everything that is wrong in it."""

    settings: Settings  # what is sound; defaults and stand-ins for the rest
    faults: list[str]  # a line each, naming file or variable, key and what to do


def load(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """The configuration of a file, else of `tailrace.toml` if that exists, as the environment overrides it.

    Relative paths are left as they are: relative to the working directory.

    Raises:
        BadSetup: with one line for every fault, naming file or variable, key and what to do.
    """
    looked = look(file, environment)
    if looked.faults:
        raise BadSetup("\n".join(looked.faults))
    return looked.settings


def look(file: Path | None, environment: Mapping[str, str]) -> Looked:
    """The same with its faults, so that others can be looked for beside them.

    Raises:
        BadSetup: the file cannot be read or is not TOML: nothing else can be said.
    """
    named = file if file is not None else DEFAULT_FILE
    tree = _read(named) if file is not None or named.exists() else {}
    variables = overrides(environment)
    for loc, name in variables.items():
        tree = put(tree, loc, value(environment[name]))
    tree, unread = _with_secrets(tree, str(named))
    faults = [*(explain_stray(name) for name in strays(environment)), *unread.values()]
    wrong = {option_of(loc) for loc in unread}
    try:
        settings = _SETTINGS.validate_python(tree)
    except ValidationError as error:
        faults += [explain(fault, str(named), variables) for fault in error.errors()]
        places = {option_of(fault["loc"]) for fault in error.errors()}
        settings = _SETTINGS.validate_python(sound(tree, places))
        wrong |= places
    names = [name for kind in RECEIVERS for table in _receivers(tree, kind) if (name := _name(table))]
    faults += [f"{named}: {one}" for one in contradictions(settings, names, wrong)]
    return Looked(settings, faults)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSetup(
            f"{file}: cannot be read ({error.strerror}): correct the path or its permissions"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetup(f"{file}: not TOML ({error}): correct that place") from error


def _with_secrets(tree: dict[str, Any], file: str) -> tuple[dict[str, Any], dict[Loc, str]]:
    """The tree with every secret that lies in a file read; of those that were not, where and why."""
    faults: dict[Loc, str] = {}
    for loc, table in _with_secret_files(tree):
        name = str(loc[-1])
        where = f"{file}: {'.'.join(map(str, loc))}_file"
        if not isinstance(table, dict) or not isinstance(table.get(f"{name}_file"), str):
            continue
        if name in table:
            faults[loc] = f"{where}: there is a {name} as well: keep one of the two"
            continue
        try:
            text = Path(table[f"{name}_file"]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            faults[loc] = f"{where}: cannot be read ({error}): correct the path or its permissions"
            continue
        tree = put(tree, loc, text.strip())
    return tree, faults


def _with_secret_files(tree: dict[str, Any]) -> list[tuple[Loc, Any]]:
    """Where each secret goes that may lie in a file, and its table."""
    webhooks = enumerate(_receivers(tree, "webhook"))
    of_webhooks: list[tuple[Loc, Any]] = [
        (("receivers", "webhook", index, "secret"), table) for index, table in webhooks
    ]
    return [*of_webhooks, *(((at, "password"), tree.get(at)) for at in ("kafka", "redis"))]


def _receivers(tree: dict[str, Any], kind: str) -> Sequence[Any]:
    receivers = tree.get("receivers")
    found = receivers.get(kind) if isinstance(receivers, dict) else None
    return found if isinstance(found, list) else []


def _name(table: Any) -> str:
    name = table.get("name") if isinstance(table, dict) else None
    return name if isinstance(name, str) else ""
