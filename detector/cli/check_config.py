"""`tailrace check-config`: print what holds, or everything that is wrong. Reads files and the environment."""

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
    from detector.cli.refusals import of_all, refuse  # noqa: PLC0415  # slow to import: --help need not wait
    from detector.config import look  # noqa: PLC0415
    from detector.config.reference import effective  # noqa: PLC0415

    looked = look(config, os.environ)
    refuse([*looked.faults, *of_all(looked.settings)])
    sys.stdout.write(effective(looked.settings))
