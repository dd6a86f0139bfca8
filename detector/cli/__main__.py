"""The `tailrace` command. What a command needs beyond its options is imported when it runs."""

import sys
from importlib.metadata import version

from cyclopts import App

from detector.cli import alerts, bundle
from detector.cli.check_config import check_config
from detector.cli.parse import parse
from detector.cli.replay import replay
from detector.cli.run import run
from detector.cli.watch import watch

app = App(
    name="tailrace",
    help="Says which log source stopped behaving like itself, at which line, and what was expected.",
    version=lambda: version("tailrace"),
)
for _command in (parse, watch, replay, alerts.app, check_config, bundle.app):
    app.command(_command)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
