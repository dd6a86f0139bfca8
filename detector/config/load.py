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
    """The tree with the secret of every `secret_file` read, and what is wrong with those files."""
    faults = []
    for index, webhook in enumerate(_webhooks(tree)):
        loc: Loc = ("receivers", "webhook", index)
        where = f"{file}: receivers.webhook.{index}.secret_file"
        if not isinstance(webhook, dict) or not isinstance(webhook.get("secret_file"), str):
            continue
        if "secret" in webhook:
            faults.append(f"{where}: there is a secret as well: keep one of the two")
            continue
        try:
            text = Path(webhook["secret_file"]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"{where}: cannot be read ({error}): correct the path or its permissions")
            continue
        tree = put(tree, (*loc, "secret"), text.strip())
    return tree, faults


def _webhooks(tree: dict[str, Any]) -> Sequence[Any]:
    receivers = tree.get("receivers")
    found = receivers.get("webhook") if isinstance(receivers, dict) else None
    return found if isinstance(found, list) else []
