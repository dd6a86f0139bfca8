"""`tailrace check-config`: print what holds, or everything that is wrong. Reads the environment."""

import os
import sys

from detector.cli.options import ConfigFile


def check_config(
    *,
    config: ConfigFile = None,
) -> None:
    """Print the configuration in force, secrets masked, or list every fault in it.

    Example: tailrace check-config --config tailrace.toml

    Raises:
        BadSetup: with one line for every fault; the command then exits with 2.
    """
    from detector.config import load  # noqa: PLC0415  # slow to import, and --help need not wait
    from detector.config.reference import effective  # noqa: PLC0415

    sys.stdout.write(effective(load(config, os.environ)))
