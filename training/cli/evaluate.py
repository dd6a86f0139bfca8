"""`tailrace-train evaluate`: how good a bundle's answers are against labels. Reads files, prints a table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from detector.cli.options import BundleDir, ConfigFile, Format, InputOptions, Inputs
from detector.words import counted
from training.cli.extra import need_training_extra

if TYPE_CHECKING:
    from training.evaluate.evaluate import Result


def evaluate(
    files: Inputs,
    /,
    *,
    bundle: BundleDir = None,
    labels: Annotated[
        Path, Parameter(help="CSV with rows SOURCE,LABEL; labels are anomaly, 1, true or normal, 0, false.")
    ],
    train: Annotated[
        tuple[str, ...],
        Parameter(
            help="Normal logs for simple detectors to learn from, to compare with.",
            consume_multiple=True,
            negative=(),
            show_default=False,
        ),
    ] = (),
    budget: Annotated[
        float | None,
        Parameter(
            help="False alerts allowed: a day, or per 10,000 sessions; else the bundle's.",
            validator=validators.Number(gt=0),
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        Parameter(
            help="Also give the F1 to expect where this share of the sources is anomalous.",
            validator=validators.Number(gt=0, lt=1),
        ),
    ] = None,
    format: Format = "text",  # noqa: A002
    options: InputOptions = InputOptions(),  # noqa: B008  (frozen)
    config: ConfigFile = None,
) -> None:
    """Replay labelled logs and print precision, recall, F1 and false-positive rates.

    Example: tailrace-train evaluate test.log --bundle bundle --labels labels.csv
    """
    need_training_extra()
    import msgspec  # noqa: PLC0415  # heavy, and --help need not wait

    from detector.cli.start import core_of, read_settings, warn  # noqa: PLC0415
    from detector.inputs.paths import find  # noqa: PLC0415
    from training.cli.readable_twice import readable_twice  # noqa: PLC0415
    from training.evaluate.compare import compare  # noqa: PLC0415

    core = core_of(read_settings(config), bundle, options, list(files), budget=budget)
    trained = find(list(train), warn) if train else []
    tested = find(files, warn)
    with readable_twice(tested if trained else []):
        found = compare(core, tested, labels, trained, prevalence)
    sys.stderr.write(
        f"{found.labelled} of {counted(found.sources, 'source')} with a label; "
        f"{counted(found.unseen, 'label')} without a source\n"
    )
    if format == "json":
        sys.stdout.buffer.writelines(msgspec.json.encode(row.plain()) + b"\n" for row in found.results)
    else:
        _show(found.results)


def _show(results: list["Result"]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    at = results[0].prevalence
    names = ["precision", "recall", "F1", "avg. prec.", "Matthews", "FPR", "FPR 95 %"]
    table.add_column("detector", no_wrap=True)
    for name in [*names, *([] if at is None else [f"F1 at {at:g}"])]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in results:
        numbers = [row.precision, row.recall, row.f1, row.average_precision, row.matthews]
        table.add_row(
            row.detector,
            *(f"{number:.4f}" for number in numbers),
            f"{row.false_positive_rate:.5f}",
            f"{row.false_positive_rate_low:.5f}-{row.false_positive_rate_high:.5f}",
            *([] if row.f1_at_prevalence is None else [f"{row.f1_at_prevalence:.4f}"]),
        )
    Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
    normal, anomalous = results[0].normal, results[0].anomalous
    sys.stdout.write(f"{counted(normal, 'normal source')}, {anomalous} anomalous\n")
