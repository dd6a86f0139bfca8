"""A bundle is read from its own files alone."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from detector.bundle import load
from detector.errors import BadSetup
from tests.small_bundle import small_bundle


def point_outside(tensor: TensorProto, file: Path) -> None:
    """Move a tensor's data into another file."""
    file.write_bytes(onnx.numpy_helper.to_array(tensor).tobytes())
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=os.path.relpath(file))


def in_weights(model: onnx.ModelProto, file: Path) -> None:
    """The first floats of the graph."""
    point_outside(next(one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT), file)


def in_a_node(model: onnx.ModelProto, file: Path) -> None:
    """A constant within an attribute."""
    value = onnx.numpy_helper.from_array(np.ones(300, np.float32), "value")
    point_outside(value, file)
    model.graph.node.append(helper.make_node("Constant", [], ["aside"], value=value))


@pytest.mark.parametrize("name", ["model.onnx", "ending.onnx", "reader.onnx"])
@pytest.mark.parametrize("change", [in_weights, in_a_node])
def test_a_graph_whose_data_lie_in_other_files_is_refused(tmp_path: Path, name: str, change: object) -> None:
    """The runtime would read any file that it names, though the digests of the bundle are right."""
    assert callable(change)
    bundle = tmp_path / "bundle"
    small_bundle(bundle, session=True, reader=True)
    load(bundle)
    model = onnx.load_from_string((bundle / name).read_bytes())
    change(model, tmp_path / "outside.bin")
    content = model.SerializeToString()
    (bundle / name).write_bytes(content)
    manifest = msgspec.json.decode((bundle / "manifest.json").read_bytes())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (bundle / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(BadSetup, match=rf"{name} cannot be run \(its data lie in other files\)"):
        load(bundle)


def test_loading_a_bundle_leaves_nothing_in_the_home(tmp_path: Path) -> None:
    """The runtime's telemetry would begin a database there, to be sent, as soon as it is imported."""
    home, bundle = tmp_path / "home", tmp_path / "bundle"
    home.mkdir()
    small_bundle(bundle, session=True)
    code = f"from pathlib import Path; from detector.bundle import load; load(Path({str(bundle)!r}))"
    kept = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**kept, "HOME": str(home)}, capture_output=True, check=True
    )
    assert (done.stderr, list(home.iterdir())) == (b"", [])
