"""The `tailrace` command. A command's module is imported when the command is run."""

import sys
from importlib.metadata import version

from cyclopts import App

from detector.cli.run import run

app = App(
    name="tailrace",
    help="Says which log source stopped behaving like itself, at which line, and what was expected.",
    version=lambda: version("tailrace"),
)
_COMMANDS = {
    "parse": "detector.cli.parse:parse",
    "watch": "detector.cli.watch:watch",
    "replay": "detector.cli.replay:replay",
    "alerts": "detector.cli.alerts:app",
    "check-config": "detector.cli.check_config:check_config",
    "bundle": "detector.cli.bundle:app",
}
for _name, _target in _COMMANDS.items():
    app.command(_target, name=_name)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
