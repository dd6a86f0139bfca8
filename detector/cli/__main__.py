"""The `tailrace` command. What a command needs beyond its options is imported when it runs."""

import sys
from importlib.metadata import version

from cyclopts import App

from detector.cli import alerts, bundle, dead_letters, shards, topics
from detector.cli.check_config import check_config
from detector.cli.parse import parse
from detector.cli.purge import purge
from detector.cli.replay import replay
from detector.cli.run import run
from detector.cli.watch import watch
from detector.cli.worker import worker

app = App(
    name="tailrace",
    help=(
        "Says which log source stopped behaving like itself, at which line, and what was expected.\n\n"
        "First `tailrace-train fit` learns from normal logs; then `tailrace watch` or `replay` judges by it. "
        "`tailrace COMMAND --help` shows an example of each."
    ),
    help_epilogue="--debug after any command shows where an error came from.",
    version=lambda: version("tailrace"),
)
app.command(watch, usage="Usage: tailrace watch INPUTS [OPTIONS]", sort_key=1)
app.command(worker, sort_key=2)
app.command(replay, sort_key=3)
app.command(alerts.app)  # 4
app.command(parse, sort_key=5)
app.command(bundle.app)  # 6
app.command(check_config, sort_key=7)
app.command(purge, sort_key=8)
app.command(dead_letters.app)  # 9
app.command(shards.app)  # 10
app.command(topics.app)  # 11

OF_TRAINING = dict.fromkeys(("fit", "inspect", "evaluate", "export", "benchmark"), "tailrace-train")


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app, sys.argv[1:], OF_TRAINING))


if __name__ == "__main__":
    main()
