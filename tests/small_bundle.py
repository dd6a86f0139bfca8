"""A bundle with a small untrained model, for tests of what does not depend on what was learnt."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from onnx import TensorProto, helper

from detector.bundle import (
    SCHEMA_VERSION,
    SLOTS,
    Bundle,
    Calibration,
    InputSettings,
    Manifest,
    ReaderCalibration,
    SessionCalibration,
    StreamCalibration,
    Tail,
    load,
    write,
)
from detector.stages.judge.alerts import Naming
from detector.stages.judge.policy import Explain, Policy
from detector.stages.parse.vocabulary import of_texts, to_json
from training.export.export import export_step
from training.export.graph import Graph
from training.export.reader import export_reader
from training.model.model import ModelShape, build
from training.model.reader import build_reader
from training.model.settings import Cell

_WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike"
WORDS = _WORDS.split()
TEMPLATES = len(WORDS) - 1  # the last word is never seen in training
HEADERS: list[list[dict[str, object]]] = [
    [{"piece": "time", "kind": "iso", "chosen": True}, {"piece": "host"}]
]
SECOND = 1_000_000


def tail(start: float, scale: float) -> Tail:
    """A tail whose last tenth lies above `start`."""
    return Tail(start=start, scale=scale, share=0.1, quantiles=[0.0, start])


def session_calibration(templates: int = TEMPLATES) -> SessionCalibration:
    """Calibration under which about every third random session is an alert."""
    rng = np.random.default_rng(3)
    return SessionCalibration(
        slots=[0, 0, *range(templates)],
        idf=[1.0] * (SLOTS + 1),
        prototypes=rng.dirichlet(np.ones(SLOTS + 1), 4).tolist(),
        unknown_cost=4.0,
        pairs=np.flatnonzero(rng.random((templates + 2) ** 2) < 0.7).tolist(),
        pair_cost=3.0,
        order=tail(0.5, 0.5),
        density=tail(200.0, 20.0),
        density_max=tail(4.0, 1.0),
        distance=tail(0.9, 0.05),
        pair=tail(4.0, 1.0),
        event=tail(3.7, 0.1),
        end=tail(3.7, 0.1),
        summed=tail(4.0, 0.5),
        total=tail(4.0, 0.5),
        totals=[],
        sessions=100,
    )


def stream_calibration(order_bits: float = 60.0, templates: int = TEMPLATES) -> StreamCalibration:
    """Calibration under which random events raise an alert every few dozen."""
    return StreamCalibration(
        counts=[0.0, 0.0, *(float(i + 1) for i in range(templates))],
        rarity_mean=1.5,
        order_mean=3.0,
        order_slack=0.5,
        order_bits=order_bits,
        maxima=tail(2.0, 1.0),
        blocks=100,
        events=1000,
        news=None,
        sources=1,
        silence_gap_us=SECOND,
        silence_factor=3.0,
    )


def ending_graph() -> bytes:
    """A count density in form only: weighted counts, summed and at most."""
    graph = Graph()
    graph.constant("weights", np.linspace(0.1, 2.0, SLOTS, dtype=np.float32))
    graph.integers("slots", 1)
    graph.add("Mul", ["counts", "weights"], "weighted")
    graph.add("ReduceSum", ["weighted", "slots"], "c", keepdims=0)
    graph.add("ReduceMax", ["weighted"], "c_max", axes=[1], keepdims=0)
    describe = helper.make_tensor_value_info
    return graph.to_bytes(
        "ending",
        [describe("counts", TensorProto.FLOAT, ["B", SLOTS])],
        [describe(name, TensorProto.FLOAT, ["B"]) for name in ("c", "c_max")],
    )


def _input(*, session: bool) -> InputSettings:
    """Sessions are jobs, named anywhere in a line; long-lived sources are hosts."""
    if session:
        return InputSettings(session=True, source_regex=r"job-\d+", idle_timeout_s=30.0)
    return InputSettings(source_fields=["host"])


def log_line(at_s: float, host: str, word: int, job: int) -> bytes:
    """A line as the bundle reads it; a word beyond the templates makes it an unknown one."""
    stamp = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{stamp}Z {host} {WORDS[word]} is done for job-{job}\n".encode()


def small_bundle(
    path: Path,
    *,
    session: bool,
    cell: Cell = "gru",
    seed: int = 0,
    templates: int = TEMPLATES,
    headers: list[list[dict[str, object]]] = HEADERS,
    reader: bool = False,
) -> Bundle:
    """Write and load a bundle of random weights that knows the first templates; a reader reads everything."""
    calibration = Calibration(
        budget=1.0,
        days=1.0,
        hold_bits=4.3,
        worst_bits=3.9,
        surprise=tail(4.0, 0.3),
        new_templates=0,
        new_template_alerts=True,
        session=session_calibration(templates) if session else None,
        stream=None if session else stream_calibration(order_bits=8.0, templates=templates),
    )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        created="2026-01-01T00:00:00Z",
        versions={},
        data={},
        model={"cell": cell, "vocabulary": templates + 2},
        input=_input(session=session),
        files={},
    )
    vocabulary = of_texts([f"{word} is done for <*>" for word in WORDS[:templates]])
    files = {
        "model.onnx": export_step(build(ModelShape(templates + 2, cell, hidden=16, embedding=8), seed)),
        "templates.json": msgspec.json.encode({"vocabulary": to_json(vocabulary), "headers": headers}),
        "calibration.json": msgspec.json.encode(calibration),
    }
    if session:
        files["ending.onnx"] = ending_graph()
    if reader:
        verdict = Tail(start=0.05, scale=0.02, share=0.1, quantiles=[-0.3, 0.05])
        files["reader.onnx"] = export_reader(build_reader(templates + 2, seed))
        files["reader.json"] = msgspec.json.encode(ReaderCalibration(bar=0.0, verdict=verdict))
    write(path, manifest, files)
    return load(path)


def policy(
    bundle: Bundle, *, threshold: float = 4.0, event_threshold: float = 2.0, order_bits: float = 60.0
) -> Policy:
    """A policy with short times, so that everything happens within a short test."""
    stream = bundle.calibration.stream
    if stream is not None:
        stream = msgspec.structs.replace(stream, order_bits=order_bits)
    return Policy(
        calibration=msgspec.structs.replace(bundle.calibration, stream=stream),
        session=bundle.calibration.session is not None,
        budget=1.0,
        threshold=threshold,
        event_threshold=event_threshold,
        prior_total=sum(stream.counts) if stream is not None else 0.0,
        idle_us=30 * SECOND if bundle.calibration.session is not None else 3000 * SECOND,
        lateness_us=2 * SECOND,
        resolve_us=60 * SECOND,
        quiet_us=10 * SECOND,
        remember_us=1000 * SECOND,
        max_carried=4,
        naming=Naming(bundle=bundle.id, after_lines=3, replay=lambda began_us: f"tailrace replay {began_us}"),
    )


EXPLAIN = Explain(
    template=lambda token: (f"id{token}", f"template {token}"),
    parameters=lambda message, token: [message.decode(), str(token)],
    pattern=lambda message: message.decode(),
)
