"""`tailrace-train export`: write the trained network as ONNX again, and check it. Reads and writes files."""

import sys
from pathlib import Path

from detector.cli.options import BundleDir
from detector.errors import BadSetup
from training.cli.extra import need_training_extra


def export(directory: Path | None = None, /, *, bundle: BundleDir = None) -> None:
    """Export the network of a bundle again and compare both over 10,000 events.

    Writes model.onnx only where it differs; the bundle must still lie beside its training folder.

    Example: tailrace-train export bundle
    """
    path = directory or bundle
    if path is None or (directory is not None and bundle is not None):
        raise BadSetup("name one bundle: tailrace-train export DIR, or --bundle DIR")
    need_training_extra()
    from training.export.exporting import MOST_BITS, export_again  # noqa: PLC0415  # heavy, and --help need not wait

    done = export_again(path)
    what = (
        f"wrote {path / 'model.onnx'} ({done.bundle})"
        if done.written
        else f"model.onnx is up to date ({done.bundle})"
    )
    sys.stdout.write(
        f"torch and ONNX differ by at most {done.difference_bits:.2g} bits over {done.steps} events "
        f"(allowed: {MOST_BITS:g})\n{what}\n"
    )
