"""Write a bundle's step graph again from the network that was kept beside it. Reads and writes the bundle."""

from dataclasses import dataclass
from pathlib import Path

from detector import bundle as bundles
from detector.errors import BadSetup
from training.export.export import export_step
from training.export.parity import check_parity
from training.model.saved import load_model

MOST_BITS = 1e-4  # that torch and the graph may differ by
STEPS = 10_000
GRAPH = "model.onnx"
NETWORK = Path("training") / "model.pt"


@dataclass(frozen=True, slots=True)
class Exported:
    """What exporting again came to."""

    bundle: str
    difference_bits: float
    steps: int
    written: bool


def export_again(path: Path) -> Exported:
    """Export, compare with torch event by event, and replace the graph where it differs.

    Raises:
        BadSetup: the bundle or its network cannot be used, or the two differ by too much.
    """
    bundle = bundles.load(path)
    model = load_model(path / NETWORK)
    graph = export_step(model)
    difference = check_parity(model, graph, steps=STEPS)
    if not difference <= MOST_BITS:
        raise BadSetup(
            f"{path / NETWORK}: torch and ONNX differ by {difference:.2g} bits, more than {MOST_BITS:g}; "
            "nothing was written, fit the bundle again"
        )
    files = {name: (path / name).read_bytes() for name in bundle.manifest.files}
    if files[GRAPH] == graph:
        return Exported(bundle.id, difference, STEPS, written=False)
    if model.shape.vocabulary != _vocabulary(bundle):
        raise BadSetup(f"{path / NETWORK} is of another bundle: its vocabulary differs; fit the bundle again")
    return Exported(
        bundles.write(path, bundle.manifest, files | {GRAPH: graph}), difference, STEPS, written=True
    )


def _vocabulary(bundle: bundles.Bundle) -> object:
    return bundle.manifest.model.get("vocabulary")
