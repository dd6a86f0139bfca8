"""Read the configuration, or say everything that is wrong with it at once. Reads files."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from detector.config.environment import Loc, overrides, put, strays, value
from detector.config.faults import explain, explain_stray
from detector.config.options import Settings
from detector.errors import BadSetup

DEFAULT_FILE = Path("tailrace.toml")
_SETTINGS = TypeAdapter(Settings)


def load(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """The configuration of a file, else of `tailrace.toml` if that exists, as the environment overrides it.

    Relative paths are left as they are: relative to the working directory.

    Raises:
        BadSetup: with one line for every fault, naming file or variable, key and what to do.
    """
    named = file if file is not None else DEFAULT_FILE
    tree = _read(named) if file is not None or named.exists() else {}
    variables = overrides(environment)
    for loc, name in variables.items():
        tree = put(tree, loc, value(environment[name]))
    tree, faults = _with_secrets(tree, str(named))
    faults = [*(explain_stray(name) for name in strays(environment)), *faults]
    try:
        settings = _SETTINGS.validate_python(tree)
    except ValidationError as error:
        faults = [*faults, *(explain(fault, str(named), variables) for fault in error.errors())]
    if faults:
        raise BadSetup("\n".join(faults))
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSetup(
            f"{file}: cannot be read ({error.strerror}): correct the path or its permissions"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetup(f"{file}: not TOML ({error}): correct that place") from error


def _with_secrets(tree: dict[str, Any], file: str) -> tuple[dict[str, Any], list[str]]:
    """The tree with every secret that lies in a file read, and what is wrong with those files."""
    faults = []
    for loc, table in _with_secret_files(tree):
        name = str(loc[-1])
        where = f"{file}: {'.'.join(map(str, loc))}_file"
        if not isinstance(table, dict) or not isinstance(table.get(f"{name}_file"), str):
            continue
        if name in table:
            faults.append(f"{where}: there is a {name} as well: keep one of the two")
            continue
        try:
            text = Path(table[f"{name}_file"]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{where}: cannot be read ({error}): correct the path or its permissions")
            continue
        tree = put(tree, loc, text.strip())
    return tree, faults


def _with_secret_files(tree: dict[str, Any]) -> list[tuple[Loc, Any]]:
    """Where each secret goes that may lie in a file, and its table."""
    webhooks = enumerate(_webhooks(tree))
    of_webhooks: list[tuple[Loc, Any]] = [
        (("receivers", "webhook", index, "secret"), table) for index, table in webhooks
    ]
    return [*of_webhooks, *(((at, "password"), tree.get(at)) for at in ("kafka", "redis"))]


def _webhooks(tree: dict[str, Any]) -> Sequence[Any]:
    receivers = tree.get("receivers")
    found = receivers.get("webhook") if isinstance(receivers, dict) else None
    return found if isinstance(found, list) else []
