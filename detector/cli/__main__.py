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
    "parse": ("detector.cli.parse:parse", "Print what every line is: time, level, source, template."),
    "watch": ("detector.cli.watch:watch", "Follow files and alert on what is not like them."),
    "replay": (
        "detector.cli.replay:replay",
        "Run over history in event time, and say what would have alerted.",
    ),
    "alerts": ("detector.cli.alerts:app", "Read alerts back from a state file."),
    "check-config": ("detector.cli.check_config:check_config", "Print the configuration, or all its faults."),
    "bundle": ("detector.cli.bundle:app", "Look at what training wrote."),
}
for _name, (_target, _help) in _COMMANDS.items():
    app.command(_target, name=_name, help=_help)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
