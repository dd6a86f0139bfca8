"""The `tailrace-train` command. What a command needs beyond its options is imported when it runs."""

import sys
from importlib.metadata import version

from cyclopts import App

from detector.cli.run import run
from training.cli.evaluate import evaluate
from training.cli.export import export
from training.cli.fit import fit
from training.cli.inspect import inspect
from training.cli.parse import parse

app = App(
    name="tailrace-train",
    help="Learns what is normal from logs, and writes the bundle that tailrace judges with.",
    version=lambda: version("tailrace"),
)
for _command in (fit, parse, evaluate, inspect, export):
    app.command(_command)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
