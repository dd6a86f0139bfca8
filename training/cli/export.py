"""`tailrace-train export`: write the trained network as ONNX again, and check it. Reads and writes files."""

import sys

from detector.cli.options import BundleDir, Directory
from detector.errors import BadSetup
from training.cli.extra import need_training_extra


def export(directory: Directory = None, /, *, bundle: BundleDir = None) -> None:
    """Write a bundle's network as ONNX again, and check that both agree over 10,000 events.

    Writes model.onnx only where it differs; needs the folder training in the bundle, which fit wrote.

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
