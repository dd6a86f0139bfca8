"""What commands that ask servers do first. Reads files and the environment."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detector.config import Settings


def settings_of(config: Path | None) -> "Settings":
    """The configuration; what a client would say of its failure, the one sentence of the command says.

    Raises:
        BadSetup: with one line for every fault.
    """
    from detector.config import load  # noqa: PLC0415  # slow to import, and --help need not wait

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return load(config, os.environ)
