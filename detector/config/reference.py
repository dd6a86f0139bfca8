"""Write the options down: a row for each, their page, and what holds in one run. No I/O."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import SecretStr

from detector.config.environment import NESTED, PREFIX
from detector.config.options import Jsonl, KafkaTopic, Settings, Webhook

MASK = "********"
UNITS = {
    "_s": "seconds",
    "_bytes": "bytes",
    "_lines": "lines",
    "_sources": "sources",
    "_pending": "deliveries",
    "_revisions": "revisions",
    "_rejects": "dead letters",
    "budget": "alerts",
    "_carried": "alerts",
}
KINDS = {bool: "true or false", int: "whole number", float: "number"}
LISTS = {"webhook": Webhook, "jsonl": Jsonl, "kafka": KafkaTopic}
HEAD = """# Configuration

Written by `make docs` from the options in `detector/config`: change it there.

One TOML file: `--config FILE`, or `tailrace.toml` in the working directory where there is one.
A variable `TAILRACE_SECTION__KEY` overrides a key of the file, and `TAILRACE_RECEIVERS__WEBHOOK__0__SECRET`
one of the first webhook; lists are written as JSON. Options of the command line go before both.
Unknown keys are refused, as are other variables that begin with `TAILRACE_` (those that Kubernetes sets for a
service of this name are left alone), and every fault is reported at once. Relative paths start at the working
directory. `tailrace check-config` prints what holds, with secrets masked, or lists all that is wrong: also
folders, certificates and a bundle for which `watch` or, where `kafka.topics` is set, `worker` does not start.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One option as people read it."""

    section: str
    key: str
    kind: str
    unit: str
    default: str  # "needed" where there is none
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        section = self.section.replace(".", NESTED) + (
            f"{NESTED}0" if self.section.startswith("receivers.") else ""
        )
        return f"{PREFIX}{section}{NESTED}{self.key}".upper()


def rows() -> list[Row]:
    """Every option, in the order of the file."""
    return [row for section, kind in _sections().items() for row in _rows(section, kind)]


def _sections() -> dict[str, Any]:
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Settings)}
    del kinds["receivers"]
    lists = {f"receivers.{name}": kind for name, kind in LISTS.items()}
    last = {name: kinds.pop(name) for name in ("web", "log")}
    return kinds | lists | last


def _rows(section: str, kind: Any) -> list[Row]:
    return [_row(section, name, field) for name, field in kind.__pydantic_fields__.items()]


def _row(section: str, name: str, field: Any) -> Row:
    unset = (field.json_schema_extra or {}).get("unset", "")
    default = "needed" if field.is_required() else unset or _toml(field.default)
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    return Row(section, name, _kind(field.annotation), unit, default, field.description or "")


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list of text"
    inner = [kind for kind in get_args(annotation) if kind is not NoneType]
    if inner:
        return _kind(inner[0])
    return KINDS.get(annotation, "text")


def page() -> str:
    """The page docs/configuration.md, in Markdown."""
    return "\n".join([HEAD, *(_section(name, kind) for name, kind in _sections().items())])


def _section(name: str, kind: Any) -> str:
    title = f"[[{name}]]" if name.startswith("receivers.") else f"[{name}]"
    lines = [
        f"## `{title}`",
        "",
        kind.__doc__,
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
    ]
    for row in _rows(name, kind):
        value = f"{row.kind}, in {row.unit}" if row.unit else row.kind
        default = (
            row.default if " " in row.default or row.default in {"needed", "none"} else f"`{row.default}`"
        )
        lines.append(f"| `{row.key}` | {value} | {default} | {row.meaning} |")
    return "\n".join([*lines, ""])


def effective(settings: Settings) -> str:
    """What holds in this run as TOML, secrets masked; options that are not set are comments."""
    tables = []
    for name in _sections():
        if name.startswith("receivers."):
            receivers = getattr(settings.receivers, name.removeprefix("receivers."))
            tables += [_table(f"[[{name}]]", name, receiver) for receiver in receivers]
        else:
            tables.append(_table(f"[{name}]", name, getattr(settings, name)))
    return "\n".join(tables)


def _table(title: str, name: str, section: Any) -> str:
    lines = [title]
    for row in _rows(name, type(section)):
        value = getattr(section, row.key)
        lines.append(f"# {row.key}: {row.default}" if value is None else f"{row.key} = {_toml(value)}")
    return "\n".join([*lines, ""])


def _toml(value: Any) -> str:
    """A value in TOML, whose strings and numbers are written as in JSON."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, SecretStr):
        return json.dumps(MASK)
    if isinstance(value, Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, str) and "://" in value:
        return json.dumps(_without_secrets(value), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _without_secrets(url: str) -> str:
    """An address without its path and query: many services put the token there."""
    parts = urlsplit(url)
    hidden = f"/{MASK}" if len(parts.path) > 1 or parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{hidden}"
