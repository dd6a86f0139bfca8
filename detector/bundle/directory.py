"""A bundle's directory: written by training, verified and read by serving. Reads and writes files."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from detector.bundle.calibration import SLOTS, Calibration, faults_of
from detector.bundle.graphs import EndingModel, Ints, ReaderModel, StepModel
from detector.bundle.manifest import SCHEMA_VERSION, Manifest, identity
from detector.bundle.reader import Reader, ReaderCalibration, faults_of_reader
from detector.errors import BadSetup
from detector.records import END, FIRST_TEMPLATE

_READER = {"reader.onnx", "reader.json"}


class Bundle(msgspec.Struct, frozen=True):
    """A verified bundle, ready to score."""

    id: str
    path: Path
    manifest: Manifest
    templates: dict[str, Any]  # vocabulary and headers, as the parse stage reads them
    calibration: Calibration
    step: StepModel
    ending: EndingModel | None
    pairs: Ints  # those of a session calibration, ascending
    reader: Reader | None = None  # of closed sessions, where `fit` was told to train one


def load(path: Path) -> Bundle:
    """Verify every digest, then read the bundle.

    Raises:
        BadSetup: a file is missing, altered or of another version; the message names it.
    """
    manifest, bundle_id = _manifest(path)
    files = {name: _verified(path, name, digest) for name, digest in manifest.files.items()}
    missing = {"model.onnx", "templates.json", "calibration.json"} - files.keys()
    if missing:
        raise BadSetup(f"{path}: the manifest lists no {', '.join(sorted(missing))}; train the bundle again")
    calibration = _read(files["calibration.json"], Calibration, path / "calibration.json")
    if (calibration.session is None) == (calibration.stream is None):
        raise BadSetup(f"{path / 'calibration.json'}: needs exactly one of session and stream")
    if calibration.session is not None and "ending.onnx" not in files:
        raise BadSetup(f"{path}: a bundle for sessions needs ending.onnx; train the bundle again")
    templates = _read(files["templates.json"], dict[str, Any], path / "templates.json")
    size = manifest.model.get("vocabulary")
    if not isinstance(size, int) or size < FIRST_TEMPLATE:
        raise BadSetup(f"{path / 'manifest.json'}: model.vocabulary is {size!r}; train the bundle again")
    if faults := list(faults_of(calibration, size)):
        raise BadSetup(f"{path / 'calibration.json'}: {'; '.join(faults)}; train the bundle again")
    step, ending = _models(path, files, size)
    return Bundle(
        id=bundle_id,
        path=path,
        manifest=manifest,
        templates=templates,
        calibration=calibration,
        step=step,
        ending=ending,
        pairs=np.array([] if calibration.session is None else calibration.session.pairs, np.int64),
        reader=_reader(path, files, size) if files.keys() & _READER else None,
    )


def identify(path: Path) -> str:
    """The id of the bundle that lies there by its manifest alone; nothing else is looked at.

    Raises:
        BadSetup: there is no manifest that this program reads.
    """
    return _manifest(path)[1]


def _models(path: Path, files: dict[str, bytes], size: int) -> tuple[StepModel, EndingModel | None]:
    """Open the graphs and run each once, so that what does not fit is known before the first line."""
    name = "model.onnx"
    try:
        step, ending = StepModel(files[name]), None
        lengths, hidden = np.ones(1, np.int32), np.zeros((1, step.hidden_size), np.float32)
        step.run(np.array([[size - 1]], np.int64), lengths, hidden)
        if "ending.onnx" in files:
            name = "ending.onnx"
            ending = EndingModel(files[name])
            ending.run(np.zeros((1, SLOTS), np.float32))
    except Exception as error:  # every class of the runtime's errors derives from it alone
        raise BadSetup(f"{path / name} cannot be run ({error}); train the bundle again") from error
    return step, ending


def _reader(path: Path, files: dict[str, bytes], size: int) -> Reader:
    if missing := _READER - files.keys():
        raise BadSetup(f"{path}: the manifest lists no {min(missing)}; train the bundle again")
    calibration = _read(files["reader.json"], ReaderCalibration, path / "reader.json")
    if faults := list(faults_of_reader(calibration, size)):
        raise BadSetup(f"{path / 'reader.json'}: {'; '.join(faults)}; train the bundle again")
    try:
        model = ReaderModel(files["reader.onnx"])
        model.run(np.array([size - 1, END], np.int64))
    except Exception as error:  # every class of the runtime's errors derives from it alone
        raise BadSetup(f"{path / 'reader.onnx'} cannot be run ({error}); train the bundle again") from error
    return Reader(model, calibration)


def _manifest(path: Path) -> tuple[Manifest, str]:
    file = path / "manifest.json"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadSetup(
            f"{path} is no bundle: {file.name} cannot be read ({error.strerror}); "
            "name the directory that tailrace-train fit wrote"
        ) from error
    version = _read(content, dict[str, Any], file).get("schema_version")
    if version != SCHEMA_VERSION:
        raise BadSetup(
            f"{file}: schema_version is {version!r}, this program reads {SCHEMA_VERSION}; "
            "train the bundle again, or use the version of tailrace that wrote it"
        )
    manifest = _read(content, Manifest, file)
    return manifest, identity(manifest)


def _verified(path: Path, name: str, digest: str) -> bytes:
    file = path / name
    if Path(name).name != name:
        raise BadSetup(f"{path / 'manifest.json'}: {name!r} does not lie directly in the bundle")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadSetup(
            f"{file} cannot be read ({error.strerror}); the bundle is incomplete: copy or train it again"
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise BadSetup(f"{file} does not match its SHA-256 in manifest.json; copy or train the bundle again")
    return content


def _read(content: bytes, kind: Any, file: Path) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise BadSetup(f"{file} is damaged ({error}); copy or train the bundle again") from error


def write(path: Path, manifest: Manifest, files: dict[str, bytes]) -> str:
    """Write a bundle with the digests of its files and return its id. The manifest comes last."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    whole = msgspec.structs.replace(manifest, files=digests)
    content = msgspec.json.format(msgspec.json.encode(whole), indent=1)
    (path / "manifest.json").write_bytes(content)
    return identity(whole)
