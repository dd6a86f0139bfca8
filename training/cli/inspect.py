"""`tailrace-train inspect`: what a bundle holds, in words. Reads a bundle."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from detector.cli.options import BundleDir
from detector.errors import BadSetup

if TYPE_CHECKING:
    from training.inspection import Inspection


def inspect(
    directory: Path | None = None,
    /,
    *,
    bundle: BundleDir = None,
    format: Annotated[Literal["text", "json"], Parameter(help="For people or for programs.")] = "text",  # noqa: A002
) -> None:
    """Print what a bundle was made from, its templates, and what every budget means.

    Example: tailrace-train inspect bundle
    """
    path = directory or bundle
    if path is None or (directory is not None and bundle is not None):
        raise BadSetup("name one bundle: tailrace-train inspect DIR, or --bundle DIR")
    import msgspec  # noqa: PLC0415  # heavy, and --help need not wait

    from training.inspection import inspect_bundle  # noqa: PLC0415

    found = inspect_bundle(path)
    if format == "json":
        sys.stdout.buffer.write(msgspec.json.encode(found.plain()) + b"\n")
        return
    sys.stdout.write("\n".join([*_summary(found), "", *_budgets(found), "", *_templates(found)]) + "\n")


def _summary(found: "Inspection") -> list[str]:
    return [
        f"bundle    {found.bundle} ({found.path}), made {found.created}, for {found.kind}",
        f"data      {_pairs(found.data)}",
        f"model     {_pairs(found.model)}",
        f"input     {_pairs(found.input)}",
        f"files     {_pairs({name: f'{size} bytes' for name, size in found.files.items()})}",
        f"versions  {_pairs(found.versions)}",
        *(f"header    {header}" for header in found.headers or ["none: the whole line is parsed"]),
    ]


def _pairs(values: "dict[str, object] | dict[str, str]") -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _budgets(found: "Inspection") -> list[str]:
    from training.inspection import expected  # noqa: PLC0415

    rows = [f"{'budget':>8}  {'threshold':>9}  expected  (false alerts {found.per})"]
    for row in found.budgets:
        many = expected(row, found)
        mark = "  <- the bundle's" if row.budget == found.budget else ""
        rows.append(
            f"{row.budget:>8g}  {row.threshold:>9.2f}  {'' if many is None else f'{many:.3g}':>8}{mark}"
        )
    return [*rows, f"held-out data: {found.held_out}; where few reach a threshold it is extrapolated"]


def _templates(found: "Inspection") -> list[str]:
    rows = [f"{template.id}  {template.text}" for template in found.templates]
    return [f"{len(rows)} templates", *rows]
