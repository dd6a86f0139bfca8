"""The `tailrace-train` command. What a command needs beyond its options is imported when it runs."""

import sys
from importlib.metadata import version

from cyclopts import App

from detector.cli.run import run
from training.cli.benchmark import benchmark
from training.cli.evaluate import evaluate
from training.cli.export import export
from training.cli.fit import fit
from training.cli.inspect import inspect
from training.cli.parse import parse

app = App(
    name="tailrace-train",
    help=(
        "Learns what is normal from logs, and writes the bundle that `tailrace` judges by.\n\n"
        "`tailrace-train COMMAND --help` shows an example of each."
    ),
    help_epilogue="--debug after any command shows where an error came from.",
    version=lambda: version("tailrace"),
)
app.command(fit, sort_key=1)
app.command(inspect, usage="Usage: tailrace-train inspect DIR [OPTIONS]", sort_key=2)
app.command(evaluate, sort_key=3)
app.command(parse, sort_key=4)
app.command(export, usage="Usage: tailrace-train export DIR", sort_key=5)
app.command(
    benchmark, usage="Usage: tailrace-train benchmark [DESCRIPTION…] --data DIR [OPTIONS]", sort_key=6
)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
