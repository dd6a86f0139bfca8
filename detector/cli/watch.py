"""`tailrace watch`: follow files and alert. The work is in `watching`, which --help need not wait for."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from detector.cli.options import BundleDir, ConfigFile, Format, InputOptions, Inputs
from detector.errors import BadSetup


def watch(
    inputs: Inputs | None = None,
    /,
    *,
    bundle: BundleDir = None,
    state: Annotated[
        Path | None, Parameter(help="File that keeps progress and alerts; made where it is not there.")
    ] = None,
    once: Annotated[
        bool, Parameter(help="Stop when all that is there has been read.", negative=(), show_default=False)
    ] = False,
    start: Annotated[
        Literal["start", "end"] | None,
        Parameter(
            name="--from",
            help="Where to begin in files that are new to the state file: end, or start with --once.",
        ),
    ] = None,
    format: Format = "text",  # noqa: A002
    options: InputOptions = InputOptions(),  # noqa: B008  (frozen)
    config: ConfigFile = None,
) -> int:
    """Follow logs through rotation and restart, and alert on what is not as it was in training.

    Example: tailrace watch app.log --bundle bundle --state tailrace.db
    """
    from detector.cli.receivers import putting_of, receivers_of  # noqa: PLC0415  # heavy: --help need not wait
    from detector.cli.refusals import STARTS, of_loops, of_receivers, of_start, of_state, refuse  # noqa: PLC0415
    from detector.cli.start import core_of, read_settings  # noqa: PLC0415
    from detector.cli.watching import Order, run  # noqa: PLC0415

    settings = read_settings(config)
    named, path = inputs or list(settings.input.paths), state or settings.state.path
    if not named:
        raise BadSetup("nothing to watch: name files, folders or globs, or set input.paths")
    if path is None:
        raise BadSetup("no state file is named: give --state FILE, or set state.path in the configuration")
    settings = replace(
        settings,
        input=replace(settings.input, paths=tuple(named)),
        state=replace(settings.state, path=path),
    )
    begin = start or ("start" if once else STARTS.get(settings.input.start))
    late = () if begin else of_start(settings)
    refuse([*late, *of_state(settings), *of_loops(settings), *of_receivers(settings)])
    order = Order(
        inputs=named,
        state=path,
        once=once,
        start=begin or "end",
        receivers=receivers_of(settings, format),
        putting=putting_of(settings),
    )
    return run(order, settings, core_of(settings, bundle, options, named))
