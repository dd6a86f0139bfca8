"""The directory that training hands to serving: read, verified and bound to the ONNX runtime.

Nothing in a bundle is executed: JSON, and two ONNX graphs whose digests are checked before use.
"""

import bisect
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detector.errors import BadSetup
from detector.records import FIRST_TEMPLATE

SCHEMA_VERSION = 2
SLOTS = 64  # counted templates of a session; further ones share slots
EXPECTED = 5  # alternatives that the step graph names for an event

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often normal data reaches a value: its quantiles, and an exponential tail above the last.

    `P(X > x) = share * exp(-(x - start) / scale)` for x above `start` (peaks over threshold,
    Pickands 1975, with shape 0); below it the shares of `quantiles` are interpolated.
    """

    start: float
    scale: float
    share: float  # of the sample above `start`
    quantiles: list[float]  # ascending values, at equally spaced shares from 1 down to `share`

    def z(self, value: float) -> float:
        """-log10 of the probability that normal data exceeds `value`."""
        if value > self.start:
            return -math.log10(self.share) + (value - self.start) / self.scale / math.log(10)
        above = bisect.bisect_right(self.quantiles, value)
        if above == 0:
            return 0.0
        low, high = self.quantiles[above - 1], self.quantiles[min(above, len(self.quantiles) - 1)]
        within = (value - low) / (high - low) if high > low else 0.0
        rank = (above - 1 + within) / (len(self.quantiles) - 1)
        return -math.log10(1.0 - (1.0 - self.share) * min(rank, 1.0))

    def value(self, z: float) -> float:
        """The value in the exponential tail whose `z` is the given one; `start` where that is below it."""
        return self.start + max(0.0, z + math.log10(self.share)) * math.log(10) * self.scale


class Pauses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the sessions of training were quiet after each template, by `pause_class`.

    Counts by token and class; a token's row stops at its last count that is not 0.
    """

    went_on: list[list[int]]  # pauses after which the session went on
    ended: list[list[int]]  # quiet from a session's last event to the end of the logs


class SessionCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turns a closed session's measures into one score, from out-of-fold scores of normal sessions."""

    slots: list[int]  # token -> count slot
    idf: list[float]  # per slot, and of unknown events
    prototypes: list[list[float]]  # distinct count vectors of training, with unknown: idf-weighted shares
    unknown_cost: float  # nats that an unknown event adds to the count density
    order: Tail  # sum of surprise - entropy over the square root of the length
    density: Tail  # count density, summed over the slots
    density_max: Tail  # count density of the strangest slot
    distance: Tail  # smallest idf distance to a prototype
    event: Tail  # largest surprise of a session
    end: Tail  # surprise of the end of the sequence
    total: Tail  # sum of the four z
    totals: list[float]  # the largest out-of-fold sums, descending
    sessions: int  # how many sums there were
    pauses: Pauses = Pauses([], [])


class StreamCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turns a long-lived source's surprise and rarity into a leaky sum and its threshold."""

    counts: list[float]  # per token: episode starts in training, leaky
    rarity_mean: float  # nats, over the episode starts of training
    maxima: Tail  # largest leaky sum of each block of held-out normal events
    blocks: int  # how many there were
    events: int  # held-out events
    silence_gap_us: int  # the largest gap of a usual source in training
    silence_factor: float  # a gap is silence beyond this many times that gap and the source's largest before


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers that judging needs; exactly one of `session` and `stream` is there."""

    budget: float  # false alerts a day, or per 10,000 sessions
    days: float  # event time of the held-out data; 0 where lines have no time
    hold_bits: float  # an event more surprising than this does not enter the hidden state
    worst_bits: float  # from here on a session's most surprising event is kept as evidence
    surprise: Tail  # of single events
    new_templates: int  # patterns that training had not seen in the held-out data
    new_template_alerts: bool  # whether one unknown line is worth an alert of its own
    session: SessionCalibration | None = None
    stream: StreamCalibration | None = None


class InputSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How lines were read in training; serving reads them alike unless told otherwise."""

    parser: str = "auto"  # auto | exact
    envelope: str = "auto"
    source_fields: list[str] = []
    source_regex: str | None = None
    session: bool = False
    idle_timeout_s: float | None = None
    event_field: str | None = None
    sequence_rows: bool = False
    message_field: str | None = None
    time_field: str | None = None
    level_field: str | None = None
    timezone: str | None = None
    first_line_regex: str | None = None
    unheaded_continues: bool = True  # a line without the learnt header continues the one before
    rotated: str = "joined"  # joined | separate: files that rotation made of one log are one source, or not


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bundle is, what it was made from, and the digest of every other file."""

    schema_version: int
    created: str
    versions: dict[str, str]
    data: dict[str, Any]
    model: dict[str, Any]
    input: InputSettings
    files: dict[str, str]  # name -> SHA-256


class StepModel:
    """The recurrent step graph. Scores events against the state before them and advances that state."""

    def __init__(self, graph: bytes) -> None:
        """Open the graph on one CPU thread, where any cut into batches gives the same bits."""
        self._session, self._light, self._full = _open(graph)
        self.hidden_size = int(self._session.get_inputs()[2].shape[1])

    def run(
        self, tokens: Ints, lengths: npt.NDArray[np.int32], hidden: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Surprise and entropy in bits [T,B] and the new hidden state [B,S], from tokens [T,B]."""
        feed = {"tokens": tokens, "lengths": lengths, "hidden": hidden}
        surprise, entropy, hidden_out = self._session.run(_STEP_OUTPUTS, feed, self._light)
        return surprise, entropy, hidden_out

    def expected(self, tokens: Ints, hidden: Floats) -> tuple[list[int], list[float]]:
        """The likeliest tokens in place of the last of `tokens` [T], with probabilities."""
        feed = {
            "tokens": tokens[:, None],
            "lengths": np.array([len(tokens)], np.int32),
            "hidden": hidden[None, :],
        }
        likely, probability = self._session.run(_EXPECTED_OUTPUTS, feed, self._full)
        return likely[-1, 0].tolist(), probability[-1, 0].tolist()


_STEP_OUTPUTS = ["surprise", "entropy", "hidden_out"]
_EXPECTED_OUTPUTS = ["expected_tokens", "expected_probability"]


class EndingModel:
    """The count density of closed sessions."""

    def __init__(self, graph: bytes) -> None:
        """Open the graph on one CPU thread."""
        self._session, self._light, _ = _open(graph)

    def run(self, counts: Floats) -> tuple[Floats, Floats]:
        """Sum and maximum over the slots of -ln P(count), each [B], from counts [B,64]."""
        total, largest = self._session.run(["c", "c_max"], {"counts": counts}, self._light)
        return total, largest


_OTHER_FILE = b"location"  # of TensorProto.external_data


def _open(graph: bytes) -> tuple[Any, Any, Any]:
    import onnxruntime as ort  # noqa: PLC0415  (0.1 s that --help must not pay)

    # The runtime would read any file, also by way of `..`. A tensor names its file under this key, and bytes
    # of a string lie together in a graph; nothing that training writes holds the word.
    if _OTHER_FILE in graph:
        raise ValueError("its data lie in other files")
    options = ort.SessionOptions()
    options.add_session_config_entry(
        "session.load_model_format", "ONNX"
    )  # its other format is not looked into
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    light, full = ort.RunOptions(), ort.RunOptions()
    light.only_execute_path_to_fetches = True
    full.only_execute_path_to_fetches = True
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"]), light, full


class Bundle(msgspec.Struct, frozen=True):
    """A verified bundle, ready to score."""

    id: str
    path: Path
    manifest: Manifest
    templates: dict[str, Any]  # vocabulary and headers, as the parse stage reads them
    calibration: Calibration
    step: StepModel
    ending: EndingModel | None


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
    if faults := list(_faults(calibration, size)):
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
    )


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


def _faults(calibration: Calibration, size: int) -> Iterator[str]:
    """What judging could not work with; `size` is the vocabulary's."""
    if not calibration.budget > 0:
        yield "budget is not above 0"
    session, stream = calibration.session, calibration.stream
    tails = {"surprise": calibration.surprise}
    if stream is not None:
        tails["maxima"] = stream.maxima
        if len(stream.counts) != size:
            yield f"there are {len(stream.counts)} counts for {size} tokens"
    if session is not None:
        tails |= {name: getattr(session, name) for name in _SESSION_TAILS}
        if len(session.slots) != size or not all(slot < SLOTS for slot in session.slots):
            yield f"slots do not give {size} tokens one of {SLOTS} places"
        if not session.prototypes or any(len(one) != len(session.idf) for one in session.prototypes):
            yield "prototypes and idf are not of one length"
    for name, tail in tails.items():
        if not (tail.scale > 0 and 0 < tail.share <= 1 and len(tail.quantiles) > 1):
            yield f"{name} is no tail"


_SESSION_TAILS = ("order", "density", "density_max", "distance", "event", "end", "total")


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
    return manifest, _identity(manifest)


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
    return _identity(whole)


def _identity(manifest: Manifest) -> str:
    """The bundle's id: a digest of everything but when it was made; the same data gives the same id."""
    content = msgspec.json.encode(msgspec.structs.replace(manifest, created=""))
    return hashlib.sha256(content).hexdigest()[:12]
