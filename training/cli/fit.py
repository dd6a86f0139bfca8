"""`tailrace-train fit`: from normal logs to a bundle. Reads and writes files."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter, validators

from detector.cli.options import ConfigFile, InputOptions, Inputs
from training.cli.extra import need_training_extra
from training.model.settings import FitSettings

if TYPE_CHECKING:
    from training.made import Made

MOST_PROCESSES = 4  # each holds torch in memory
_DEFAULTS = FitSettings()
_MODEL = Group("The model", "The defaults suit most logs.", sort_key=3)
_AtLeastOne = validators.Number(gte=1)


def fit(
    files: Inputs,
    /,
    *,
    out: Annotated[Path, Parameter(help="Directory to write the bundle and the report to; made if needed.")],
    options: InputOptions = InputOptions(),  # noqa: B008  (frozen)
    cell: Annotated[
        Literal["gru", "lstm", "rnn"], Parameter(help="Kind of recurrent cell.", group=_MODEL)
    ] = "gru",
    hidden: Annotated[
        int, Parameter(help="Size of the state of a layer.", validator=_AtLeastOne, group=_MODEL)
    ] = _DEFAULTS.hidden,
    layers: Annotated[
        int, Parameter(help="Layers of cells.", validator=_AtLeastOne, group=_MODEL)
    ] = _DEFAULTS.layers,
    embedding: Annotated[
        int,
        Parameter(help="Size of the vector that stands for a template.", validator=_AtLeastOne, group=_MODEL),
    ] = _DEFAULTS.embedding,
    window: Annotated[
        int,
        Parameter(help="Events that gradients go back through at most.", validator=_AtLeastOne, group=_MODEL),
    ] = _DEFAULTS.window,
    epochs: Annotated[
        int, Parameter(help="Passes over the data at most.", validator=_AtLeastOne, group=_MODEL)
    ] = _DEFAULTS.epochs,
    seed: Annotated[int, Parameter(help="The same seed gives the same bundle on a CPU.", group=_MODEL)] = 0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Parameter(help="auto takes a GPU where there is one.", group=_MODEL)
    ] = "auto",
    budget: Annotated[
        float | None,
        Parameter(
            help="False alerts you accept: a day (1 if not given), or per 10,000 sessions (5).",
            validator=validators.Number(gt=0),
        ),
    ] = None,
    contamination: Annotated[
        float,
        Parameter(
            help="Share of the data, 0 to 0.5, that may be abnormal: the strangest are left out.",
            validator=validators.Number(gte=0, lt=0.5),
        ),
    ] = 0.0,
    resume: Annotated[
        bool, Parameter(help="Go on with a fit that was interrupted.", negative=(), show_default=False)
    ] = False,
    compare_cells: Annotated[
        bool,
        Parameter(
            help="Show in the report what rnn, lstm and gru remember, and what each costs; takes minutes.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    second_reader: Annotated[
        bool,
        Parameter(
            help="Train a second reader, which reads sessions that look strange again before they alert.",
            negative=(),
            show_default=False,
            group=_MODEL,
        ),
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Learn what is normal from logs, and write a bundle and a report on it.

    Example: tailrace-train fit app.log --out bundle
    """
    need_training_extra()
    from detector.bundle import InputSettings  # noqa: PLC0415  # heavy, and --help need not wait
    from detector.cli.start import input_overrides, read_settings, warn  # noqa: PLC0415
    from detector.inputs.paths import find  # noqa: PLC0415
    from detector.shard.reader import Bounds  # noqa: PLC0415
    from training.cli.progress import Shown  # noqa: PLC0415
    from training.cli.readable_twice import readable_twice  # noqa: PLC0415
    from training.cli.topics_kept import topics_kept  # noqa: PLC0415
    from training.made import Order  # noqa: PLC0415
    from training.make import can_resume, make  # noqa: PLC0415

    settings = read_settings(config)
    with topics_kept(files, settings) as inputs:
        paths = find(inputs, warn)
        order = Order(
            paths=paths,
            out=out,
            input=InputSettings(**input_overrides(settings, options)),  # type: ignore[arg-type]
            model=FitSettings(
                cell=cell,
                hidden=hidden,
                layers=layers,
                embedding=embedding,
                window=window,
                epochs=epochs,
                seed=seed,
                device=device,
            ),
            budget=budget or settings.alerts.budget,
            contamination=contamination,
            resume=resume,
            bounds=Bounds(settings.input.max_line_bytes, settings.input.max_future_s),
            processes=min(os.cpu_count() or 1, MOST_PROCESSES),
            compare_cells=compare_cells,
            second_reader=second_reader,
        )
        if resume and not can_resume(out):
            sys.stderr.write(f"nothing to resume: no checkpoint in {out}; the fit starts anew\n")
        try:
            with readable_twice(paths), Shown(paths, epochs) as shown:
                made = make(order, shown.told, shown.stage, lambda: datetime.now(UTC))
        except KeyboardInterrupt:
            if can_resume(out):
                sys.stderr.write(
                    f"interrupted; the same command with --resume goes on from the checkpoint in {out}\n"
                )
            raise
    _say(made)


def _say(made: "Made") -> None:
    from detector.cli.start import warn  # noqa: PLC0415
    from training.report.closing import closing_words  # noqa: PLC0415
    from training.report.told import warnings  # noqa: PLC0415

    for warning in warnings(made):
        warn(warning)
    sys.stdout.writelines(f"{label:<11}{text}\n" for label, text in closing_words(made))
