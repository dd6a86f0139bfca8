"""`tailrace-train inspect`: what a bundle holds, in words. Reads a bundle."""

import sys
from typing import TYPE_CHECKING

from detector.cli.options import BundleDir, Directory, Format
from detector.errors import BadSetup
from detector.words import counted, duration, rate

if TYPE_CHECKING:
    from training.inspection import BudgetRow, Inspection


def inspect(
    directory: Directory = None,
    /,
    *,
    bundle: BundleDir = None,
    format: Format = "text",  # noqa: A002
) -> None:
    """Print what a bundle was made from, its templates, and the threshold of every budget.

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
        *_ending(found),
        f"files     {_pairs({name: f'{size} bytes' for name, size in found.files.items()})}",
        f"versions  {_pairs(found.versions)}",
        *(f"header    {header}" for header in found.headers or ["none: the whole line is parsed"]),
    ]


def _ending(found: "Inspection") -> list[str]:
    idle_s = found.input.get("idle_timeout_s")
    return [f"sessions  end after {duration(idle_s)} without a line"] if isinstance(idle_s, float) else []


def _pairs(values: "dict[str, object] | dict[str, str]") -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _budgets(found: "Inspection") -> list[str]:
    from training.inspection import expected  # noqa: PLC0415

    many = [expected(row, found) for row in found.budgets]
    if all(one is None for one in many):  # of long-lived sources a bundle keeps no scores
        rows = [f"{'budget':>8}  {'threshold':>9}  (false alerts {found.per})"]
        rows += [f"{row.budget:>8g}  {row.threshold:>9.2f}{_mark(row, found)}" for row in found.budgets]
        return [*rows, f"set by {counted(found.held_out, 'held-out event')}; rates are in fit's report"]
    rows = [f"{'budget':>8}  {'threshold':>9}  measured  (false alerts {found.per})"]
    for row, one in zip(found.budgets, many, strict=True):
        measured = "-" if one is None else rate(one)
        rows.append(f"{row.budget:>8g}  {row.threshold:>9.2f}  {measured:>8}{_mark(row, found)}")
    sessions = counted(found.held_out, "held-out session")
    return [*rows, f"measured on {sessions}; where few reach a threshold it is extrapolated"]


def _mark(row: "BudgetRow", found: "Inspection") -> str:
    return "  <- the bundle's" if row.budget == found.budget else ""


def _templates(found: "Inspection") -> list[str]:
    rows = [f"{template.id}  {template.text}" for template in found.templates]
    return [counted(len(rows), "template"), *rows]
