"""What every command of training needs first: the extra with torch. Imports nothing heavy by itself."""

from importlib.util import find_spec

from detector.errors import BadSetup


def need_training_extra() -> None:
    """Make sure that the packages of the extra `train` are there.

    Raises:
        BadSetup: one is missing; the message names the extra.
    """
    missing = [
        name for name in ("torch", "onnx", "drain3", "matplotlib", "jinja2") if find_spec(name) is None
    ]
    if missing:
        raise BadSetup(
            f"{', '.join(missing)} missing: training needs the extra, pip install 'tailrace[train]'"
        )
