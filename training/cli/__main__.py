"""The `tailrace-train` command. A command's module is imported when the command is run."""

import sys
from importlib.metadata import version

from cyclopts import App

from detector.cli.run import run

app = App(
    name="tailrace-train",
    help="Learns what is normal from logs, and writes the bundle that tailrace judges with.",
    version=lambda: version("tailrace"),
)
for _name in ("fit", "parse", "evaluate", "inspect", "export"):
    app.command(f"training.cli.{_name}:{_name}", name=_name)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
