"""`tailrace-train benchmark`: how good the answers are on labelled data sets. Reads and writes files."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from detector.errors import BadSetup
from training.benchmark.order import DETECTORS, SEEDS, VARIANTS, Asked, Detector, Variant
from training.cli.extra import need_training_extra
from training.model.settings import FitSettings

MOST_PROCESSES = 4  # each holds torch in memory
_DEFAULTS = FitSettings()
_AtLeastOne = validators.Number(gte=1)


def benchmark(
    descriptions: Annotated[
        list[Path] | None,
        Parameter(
            name="DESCRIPTION", help="Files that describe data sets (TOML); else those of the project."
        ),
    ] = None,
    /,
    *,
    data: Annotated[Path, Parameter(help="Folder below which the data sets lie.")],
    out: Annotated[Path, Parameter(help="Folder for bundles, results and the table.")] = Path("benchmark"),
    only: Annotated[
        tuple[str, ...],
        Parameter(
            help="Names of data sets: of their files without .toml.",
            consume_multiple=True,
            negative=(),
            show_default=False,
        ),
    ] = (),
    detectors: Annotated[
        tuple[Detector, ...],
        Parameter(
            help="Kinds of detectors; all, if not given.",
            consume_multiple=True,
            negative=(),
            show_default=False,
        ),
    ] = DETECTORS,
    variants: Annotated[
        tuple[Variant, ...],
        Parameter(
            help="The data as it is (plain), and changed in some way; all, if not given.",
            consume_multiple=True,
            negative=(),
            show_default=False,
        ),
    ] = VARIANTS,
    seeds: Annotated[int, Parameter(help="How many seeds, from 0.", validator=_AtLeastOne)] = SEEDS,
    fit_seed: Annotated[
        int | None, Parameter(help="The seed of every fit; else that of the split.", show_default=False)
    ] = None,
    budgets: Annotated[
        str, Parameter(help="False alerts allowed, with commas: per 10,000 sessions, or a day.")
    ] = "2,5,10",
    epochs: Annotated[int, Parameter(help="Passes of a fit at most.", validator=_AtLeastOne)] = (
        _DEFAULTS.epochs
    ),
    hidden: Annotated[int, Parameter(help="Size of the state of a layer.", validator=_AtLeastOne)] = (
        _DEFAULTS.hidden
    ),
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Parameter(help="auto takes a GPU where there is one.")
    ] = "auto",
) -> None:
    """Run labelled data sets end to end, beside simple detectors on the same splits, and write one table.

    What was measured before with the same code, data and options is not measured again.

    Example: tailrace-train benchmark --data ../data --only hdfs_sequences
    """
    need_training_extra()
    from training.benchmark.data.description import built_in, chosen, read_description  # noqa: PLC0415  # heavy
    from training.benchmark.detectors.reference.costs import costs as measured_costs  # noqa: PLC0415
    from training.benchmark.run import run  # noqa: PLC0415
    from training.benchmark.table.written import write_table  # noqa: PLC0415

    named = [read_description(one) for one in descriptions] if descriptions else built_in()
    asked = Asked(
        data=data,
        out=out,
        seeds=seeds,
        fit_seed=fit_seed,
        budgets=_budgets(budgets),
        detectors=detectors,
        variants=variants,
        epochs=epochs,
        hidden=hidden,
        device=device,
        processes=min(os.cpu_count() or 1, MOST_PROCESSES),
    )
    found = run(chosen(named, only), asked, _say)
    costs = measured_costs() if "references" in detectors else []
    sys.stdout.writelines(write_table(found, named, costs, out))


def _budgets(text: str) -> list[float]:
    try:
        budgets = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise BadSetup(f"--budgets {text}: give numbers with commas between them") from error
    if not all(0 < one < float("inf") for one in budgets):
        raise BadSetup(f"--budgets {text}: a budget is a number above 0")
    return budgets


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
