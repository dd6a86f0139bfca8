"""From log files to a bundle and its report: the whole of `tailrace-train fit`. Reads and writes files."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from detector import bundle as bundles
from detector.bundle import InputSettings, Manifest, Pauses
from detector.bundle.reader import MOST_TOKENS
from detector.errors import BadSetup
from detector.records import END
from detector.stages.header import header as headers
from detector.stages.judge.alerts import rfc3339
from detector.stages.parse import vocabulary as vocabularies
from detector.words import counted
from training.calibrate.streams import Stream
from training.cells import CellFacts, compare_cells
from training.corpus import Corpus, Told, gather, learn
from training.longlived import train_streams
from training.made import Made, Order
from training.model.devices import uses_gpu
from training.model.saved import save_model
from training.report.report import render
from training.report.told import report_data
from training.sessions import LEAST_SESSIONS, Stage, Trained, sample, train_sessions
from training.spool import cut_lives, largest_gaps
from training.unfinished import Life, finished

BESIDE_EVENTS = 20_000  # from here on processes of their own are worth their start
LEAST_EVENTS = 500  # of long-lived sources
GAP_SHARE = 0.999  # of the sessions stay under the gap that ends a session when doubled
LEAST_IDLE_S = 1.0
CHECKPOINTS = "training"  # folder of the bundle that fitting and `export` use; serving does not read it
MODEL = "model.pt"  # the network that `export` writes again

SESSION_BUDGET = 5.0  # false alerts per 10,000 sessions
DAY_BUDGET = 1.0  # false alerts a day


def make(order: Order, told: Told, stage: Stage, now: Callable[[], datetime]) -> Made:
    """Learn, train, calibrate and write the bundle.

    Raises:
        BadSetup: the data or an option cannot be used, with what to do.
    """
    _check_out(order.out)
    learnt = learn(order.paths, order.input, order.bounds, told)
    with tempfile.TemporaryDirectory(prefix="tailrace-") as folder:
        corpus = gather(order.paths, learnt, order.bounds, Path(folder), told)
        _check(corpus, order)
        _make_ready(order)
        sequences = _sequences(corpus, order)
        trained = _with_hops(_train(corpus, sequences, order, stage), corpus, order)
        settings = msgspec.structs.replace(learnt.input, idle_timeout_s=sequences.idle_s)
        bundle_id = _write(order, corpus, trained, settings, now())
        lives = [sequences.lives[i] for i in trained.kept]
        cells = _compared(corpus, lives, order, stage) if order.compare_cells else []
        made = Made(order, bundle_id, corpus, trained, sequences.idle_s, lives, sequences.cut_off, cells)
        _clear(order.out / CHECKPOINTS)
        report = order.out / "report.html"
        report.write_text(render(report_data(made, now())), encoding="utf-8")
        return made


def can_resume(out: Path) -> bool:
    """Whether an interrupted fit left checkpoints that another one can go on from."""
    return any(checkpoint.name != MODEL for checkpoint in (out / CHECKPOINTS).glob("*.pt"))


def _check_out(out: Path) -> None:
    """Write over no folder of another program: its manifest.json would be lost."""
    if out.exists() and not out.is_dir():
        raise BadSetup(f"--out {out}: this is a file; name a folder, which is made where it is not there")
    path = out / "manifest.json"
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, msgspec.DecodeError):
        found = None
    if not isinstance(found, dict) or not {"schema_version", "input", "files"} <= found.keys():
        raise BadSetup(f"{path} is not of a bundle of tailrace; name another folder with --out")


def _make_ready(order: Order) -> None:
    """A folder for checkpoints; those of an earlier fit go unless this one goes on with them."""
    folder = order.out / CHECKPOINTS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not order.resume:
            _clear(folder)
    except OSError as error:
        raise BadSetup(f"{folder} cannot be written: {error.strerror}") from error


def _clear(folder: Path) -> None:
    """Remove every checkpoint; the finished network stays."""
    for checkpoint in folder.glob("*.pt"):
        if checkpoint.name != MODEL:
            checkpoint.unlink()


def _check(corpus: Corpus, order: Order) -> None:
    events = len(corpus.grouped.events)
    if order.second_reader and not order.input.session:
        raise BadSetup("--second-reader reads sessions again as they end; give --session, or leave it out")
    if order.second_reader and len(corpus.learnt.vocabulary) > MOST_TOKENS:
        raise BadSetup(f"--second-reader tells at most {MOST_TOKENS:,} templates apart; leave it out")
    if order.input.session and len(corpus.sources) < LEAST_SESSIONS:
        raise BadSetup(
            f"{_inputs(order)}: only {counted(len(corpus.sources), 'session')} in "
            f"{counted(corpus.lines, 'line')}, of which {corpus.dropped} name none: "
            f"give at least {LEAST_SESSIONS}, or check --source-regex and --source-field"
        )
    if not order.input.session and events < LEAST_EVENTS:
        why = f"; the first reject: {corpus.reasons[0]}" if corpus.reasons else ""
        raise BadSetup(
            f"{_inputs(order)}: only {counted(events, 'event')} to train on; "
            f"give at least {LEAST_EVENTS}{why}"
        )


def _inputs(order: Order) -> str:
    first, *others = order.paths
    return f"{first} and {counted(len(others), 'other file')}" if others else first


@dataclass(frozen=True, slots=True)
class _Sequences:
    lives: list[Life]  # where each lies in the grouped events
    idle_s: float | None  # the idle time-out of sessions
    cut_off: int  # sessions left out because the end of the logs cut them off
    pauses: Pauses


def _sequences(corpus: Corpus, order: Order) -> _Sequences:
    grouped, everyone = corpus.grouped, range(len(corpus.sources))
    idle_s = order.input.idle_timeout_s
    if not order.input.session:
        whole = [(int(grouped.starts[s]), int(grouped.starts[s + 1])) for s in everyone]
        return _Sequences(whole, idle_s, 0, Pauses([], []))
    if idle_s is None:
        gaps = largest_gaps(grouped, everyone)
        if len(gaps):
            idle_s = max(LEAST_IDLE_S, 2e-6 * float(np.quantile(gaps, GAP_SHARE, method="lower")))
    lives = cut_lives(grouped, None if idle_s is None else round(idle_s * 1e6), everyone)
    lives.sort(key=lambda life: int(grouped.events["time"][life[0]]))
    over, pauses = finished(grouped, lives, len(corpus.learnt.vocabulary), corpus.last_us, LEAST_SESSIONS)
    chosen = sample(len(over), order.model.seed)
    return _Sequences([over[i] for i in chosen], idle_s, len(lives) - len(over), pauses)


def _train(corpus: Corpus, sequences: _Sequences, order: Order, stage: Stage) -> Trained:
    events, size = corpus.grouped.events, len(corpus.learnt.vocabulary)
    checkpoints = order.out / CHECKPOINTS
    alone = len(events) < BESIDE_EVENTS or uses_gpu(order.model.device)
    processes = 1 if alone else order.processes
    if order.input.session:
        return train_sessions(
            [events["token"][a:b].astype(np.int64) for a, b in sequences.lives],
            size,
            order.model,
            budget=order.budget or SESSION_BUDGET,
            days=_days(corpus),
            contamination=order.contamination,
            checkpoints=checkpoints,
            resume=order.resume,
            stage=stage,
            pauses=sequences.pauses,
            processes=processes,
            second_reader=order.second_reader,
        )
    return train_streams(
        [
            Stream(name, events["token"][a:b].astype(np.int64), events["time"][a:b].astype(np.int64))
            for name, (a, b) in zip(corpus.sources, sequences.lives, strict=True)
        ],
        size,
        order.model,
        budget=order.budget or DAY_BUDGET,
        contamination=order.contamination,
        checkpoints=checkpoints,
        resume=order.resume,
        stage=stage,
        processes=processes,
    )


def _with_hops(trained: Trained, corpus: Corpus, order: Order) -> Trained:
    """What was trained, with what the traces in the logs taught."""
    hops = corpus.hops.learnt(order.contamination)
    return replace(trained, calibration=msgspec.structs.replace(trained.calibration, hops=hops))


def _compared(corpus: Corpus, lives: list[Life], order: Order, stage: Stage) -> list[CellFacts]:
    tokens = corpus.grouped.events["token"]
    size = len(corpus.learnt.vocabulary)
    return compare_cells(
        [tokens[a:b] for a, b in lives], size, order.model, stage, session=order.input.session
    )


def _days(corpus: Corpus) -> float:
    if corpus.first_us is None or corpus.last_us is None:
        return 0.0
    return (corpus.last_us - corpus.first_us) / 86_400e6


def _write(order: Order, corpus: Corpus, trained: Trained, settings: InputSettings, created: datetime) -> str:
    learnt = corpus.learnt
    templates = {
        "vocabulary": vocabularies.to_json(learnt.vocabulary),
        "headers": headers.to_json(learnt.headers),
    }
    files = {
        "model.onnx": trained.step,
        "templates.json": msgspec.json.encode(templates),
        "calibration.json": msgspec.json.encode(trained.calibration),
    }
    if trained.ending is not None:
        files["ending.onnx"] = trained.ending
    if trained.second is not None:
        files["reader.onnx"] = trained.second.graph
        files["reader.json"] = msgspec.json.encode(trained.second.calibration)
    save_model(order.out / CHECKPOINTS / MODEL, trained.final.model)
    manifest = Manifest(
        schema_version=bundles.SCHEMA_VERSION,
        created=created.isoformat(timespec="seconds"),
        versions={name: version(name) for name in ("tailrace", "torch", "onnx", "drain3")},
        data=_described(corpus),
        model=_model(order, len(learnt.vocabulary)),
        input=settings,
        files={},
    )
    return bundles.write(order.out, manifest, files)


def _described(corpus: Corpus) -> dict[str, object]:
    return {
        "lines": corpus.lines,
        "events": corpus.events,
        "sources": corpus.sources_seen,
        "rejects": corpus.rejects,
        "dropped": corpus.dropped,
        "first_time": rfc3339(corpus.first_us),
        "last_time": rfc3339(corpus.last_us),
        "end_token": END,
    }


def _model(order: Order, vocabulary: int) -> dict[str, object]:
    model = order.model
    return {
        "cell": model.cell,
        "hidden": model.hidden,
        "layers": model.layers,
        "embedding": model.embedding,
        "seed": model.seed,
        "vocabulary": vocabulary,
    }
