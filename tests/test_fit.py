"""Fitting: truncated back-propagation that carries its state, and runs that stop, diverge and resume."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from detector.errors import BadSetup
from detector.records import FIRST_TEMPLATE
from training.model import checkpoint as checkpoints
from training.model.batches import with_rows
from training.model.fit import FORMAT, FitResult, fit, identity_of
from training.model.lessons import Lessons, session_lessons, stream_lessons
from training.model.model import ModelShape, SequenceModel, build
from training.model.run import GRADIENT_NORM, PATIENCE, Run, learning_rate_factor, losses
from training.model.sequences import Window, join, session_windows
from training.model.settings import CELLS, Cell, FitSettings, Progress
from training.model.streams import stream_windows

Tokens = npt.NDArray[np.int64]
SEED = 5
VOCABULARY = 8
SMALL = FitSettings(hidden=12, embedding=4, window=16, batch=8, epochs=4, seed=SEED, device="cpu")
every_cell = pytest.mark.parametrize("cell", CELLS)


def sessions(count: int = 60) -> list[Tokens]:
    """Sessions that count up from a random start for a random while."""
    sys.stdout.write(f"seed {SEED}\n")
    rng = np.random.default_rng(SEED)
    return [
        (rng.integers(6) + np.arange(length)) % 6 + FIRST_TEMPLATE for length in rng.integers(3, 40, count)
    ]


def fit_sessions(
    settings: FitSettings, checkpoint: Path | None = None, *, resume: bool = False, stop: int | None = None
) -> FitResult:
    """Fit the small sessions; press Ctrl-C in the middle of epoch `stop`."""

    def report(progress: Progress) -> None:
        if progress.epoch == stop and progress.fraction > 0.5:
            raise KeyboardInterrupt

    lessons = session_lessons(sessions(), settings)
    return fit(
        lessons,
        VOCABULARY,
        settings,
        checkpoint=checkpoint,
        resume=resume,
        report=report,
        clock=lambda: 0.0,
    )


def assert_same(one: FitResult, other: FitResult) -> None:
    """Both results hold the same bits and tell the same history."""
    assert (one.history, one.outcome) == (other.history, other.outcome)
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def total_nats(model: SequenceModel, windows: Iterator[Window]) -> float:
    """Summed surprise over windows."""
    with torch.no_grad():
        return sum(float(nats) for nats, _ in losses(model, windows))


@every_cell
def test_the_state_is_carried_over_windows(cell: Cell) -> None:
    """A stream costs the same in many windows as in a single one."""
    stream = np.random.default_rng(SEED).integers(FIRST_TEMPLATE, VOCABULARY, 300)
    model = build(ModelShape(VOCABULARY, cell, 12, 2, 4), SEED)
    whole, parts = (
        total_nats(model, stream_windows([stream], rows=1, window=window, rng=None)) for window in (300, 7)
    )
    assert parts == pytest.approx(whole, rel=1e-5)


@every_cell
def test_sessions_start_from_nothing_and_padding_costs_nothing(cell: Cell) -> None:
    """Sessions cost the same alone, in padded batches, and cut into windows."""
    model, data = build(ModelShape(VOCABULARY, cell, 12, 1, 4), SEED), sessions(20)
    alone = sum(total_nats(model, session_windows(join([one]), rows=1, window=99, rng=None)) for one in data)
    for rows, window in ((7, 99), (20, 5), (1, 11)):
        batched = total_nats(model, session_windows(join(data), rows=rows, window=window, rng=None))
        assert batched == pytest.approx(alone, rel=1e-5)


@every_cell
def test_sessions_are_learnt(cell: Cell) -> None:
    """Counting costs little more than a session's random start and end, once it is learnt."""
    result = fit_sessions(replace(SMALL, cell=cell, epochs=10, learning_rate=0.03))
    assert result.history[0].train_bits > 1.5
    assert min(epoch.validation_bits for epoch in result.history) < 0.5


def test_a_long_stream_is_learnt() -> None:
    """A stream with a fixed order ends up costing almost nothing an event."""
    settings = replace(SMALL, epochs=8, learning_rate=0.03)
    stream = np.tile(np.array([2, 3, 2, 4, 5]), 800)
    result = fit(stream_lessons([stream], settings), VOCABULARY, settings)
    assert result.history[-1].validation_bits < 0.15
    assert result.history[-1].events_per_s > 0


@every_cell
def test_the_same_seed_gives_the_same_bits(cell: Cell) -> None:
    """Two runs of one seed agree in every weight; another seed's does not."""
    settings = replace(SMALL, cell=cell, epochs=2)
    one = fit_sessions(settings)
    assert_same(one, fit_sessions(settings))
    other = fit_sessions(replace(settings, seed=SEED + 1))
    assert not torch.equal(one.model.output.weight, other.model.output.weight)


@every_cell
@pytest.mark.parametrize("stop", [0, 2])
def test_a_run_resumed_after_ctrl_c_ends_as_if_never_stopped(cell: Cell, stop: int, tmp_path: Path) -> None:
    """Interrupted in the middle of an epoch and resumed, a fit gives the uninterrupted one's bits."""
    settings, path = replace(SMALL, cell=cell), tmp_path / "fit.pt"
    with pytest.raises(KeyboardInterrupt):
        fit_sessions(settings, path, stop=stop)
    assert_same(fit_sessions(settings, path, resume=True), fit_sessions(settings))


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.test_fit import SMALL, VOCABULARY, sessions
from training.model.fit import fit
from training.model.lessons import session_lessons

def report(progress):
    if progress.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

lessons = session_lessons(sessions(), SMALL)
fit(lessons, VOCABULARY, SMALL, checkpoint=Path(sys.argv[1]), report=report, clock=lambda: 0.0)
"""


def test_a_run_resumed_after_kill_9_ends_as_if_never_stopped(tmp_path: Path) -> None:
    """A process that dies without a word leaves a checkpoint that another one goes on from."""
    path, root = tmp_path / "fit.pt", Path(__file__).parents[1]
    dead = subprocess.run([sys.executable, "-c", KILLED, path], cwd=root, env=os.environ, check=False)
    assert dead.returncode == -signal.SIGKILL
    assert_same(fit_sessions(SMALL, path, resume=True), fit_sessions(SMALL))


def test_a_finished_run_resumes_to_its_result(tmp_path: Path) -> None:
    """Resuming what is over trains no further."""
    path = tmp_path / "fit.pt"
    first = fit_sessions(SMALL, path)
    assert_same(fit_sessions(SMALL, path, resume=True, stop=0), first)


def test_without_resume_a_run_starts_anew(tmp_path: Path) -> None:
    """An old checkpoint is replaced when nobody asks for it."""
    path = tmp_path / "fit.pt"
    fit_sessions(replace(SMALL, seed=1), path)
    assert_same(fit_sessions(SMALL, path), fit_sessions(SMALL))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    """The refusal names each setting that differs, and data that do."""
    path = tmp_path / "fit.pt"
    fit_sessions(replace(SMALL, epochs=1), path)
    with pytest.raises(BadSetup, match=r"epochs was 1 and is 4, hidden was 12 and is 9;"):
        fit_sessions(replace(SMALL, hidden=9), path, resume=True)
    lessons = session_lessons(sessions(10), replace(SMALL, epochs=1))
    with pytest.raises(BadSetup, match="training data was"):
        fit(lessons, VOCABULARY, replace(SMALL, epochs=1), checkpoint=path, resume=True)


def test_a_run_goes_on_with_the_rows_it_began_with(tmp_path: Path) -> None:
    """A GPU finds by the clock how many rows it trains at a time; a run that goes on keeps them."""
    path, lessons = tmp_path / "fit.pt", session_lessons(sessions(), SMALL)
    more, settings = with_rows(lessons, SMALL, 2 * SMALL.batch)
    assert settings.learning_rate == pytest.approx(SMALL.learning_rate * 2**0.5)
    uninterrupted = fit(more, VOCABULARY, settings, clock=lambda: 0.0)
    begun = Run(settings, VOCABULARY, torch.device("cpu"))
    begun.one_epoch(more, lambda _: None, lambda: 0.0)
    checkpoints.save(path, identity_of(lessons, VOCABULARY, SMALL), begun.state())
    assert_same(fit_sessions(SMALL, path, resume=True), uninterrupted)


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    """One that an older release wrote is named as such, and never half read."""
    path, lessons = tmp_path / "fit.pt", session_lessons(sessions(), SMALL)
    identity = {**identity_of(lessons, VOCABULARY, SMALL), "checkpoint format": FORMAT - 1}
    checkpoints.save(path, identity, {"weights": {}})
    with pytest.raises(BadSetup, match=f"checkpoint format was {FORMAT - 1} and is {FORMAT};"):
        fit_sessions(SMALL, path, resume=True)


class _Bomb:
    """What a pickle from a stranger may hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", pickle.dumps(_Bomb(), 2)])
def test_a_damaged_or_hostile_checkpoint_is_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies where the checkpoint should, nothing in it is executed."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "fit.pt"
    path.write_bytes(content)
    with pytest.raises(BadSetup, match="no checkpoint"):
        fit_sessions(SMALL, path, resume=True)
    assert list(tmp_path.iterdir()) == [path]


def poisoned(epoch: int) -> Lessons:
    """Lessons whose loss is not a number from `epoch` on."""
    lessons = session_lessons(sessions(), SMALL)

    def training(number: int) -> Iterator[Window]:
        for window in lessons.training(number):
            weights = window.weights * np.float32(np.nan) if number >= epoch else window.weights
            yield replace(window, weights=weights)

    return replace(lessons, training=training)


def test_a_run_that_diverges_says_so_and_keeps_its_best_checkpoint(tmp_path: Path) -> None:
    """The outcome is `diverged`, the weights are the best epoch's, and the checkpoint holds both."""
    path = tmp_path / "fit.pt"
    result = fit(poisoned(2), VOCABULARY, SMALL, checkpoint=path)
    assert result.outcome == "diverged"
    assert len(result.history) == 2
    best = fit_sessions(SMALL, stop=None)
    assert result.history[0].train_bits == best.history[0].train_bits
    assert all(torch.isfinite(weights).all() for weights in result.model.parameters())
    assert_same(fit(poisoned(2), VOCABULARY, SMALL, checkpoint=path, resume=True), result)


def test_a_learning_rate_that_explodes_the_loss_is_a_divergence() -> None:
    """A loss far above a blind guess's ends the run although it is finite."""
    result = fit_sessions(replace(SMALL, learning_rate=300.0))
    assert result.outcome == "diverged"


def test_training_stops_early_when_validation_stops_improving() -> None:
    """Validated on what training never shows, a run ends early with its best epoch's weights."""
    settings = replace(SMALL, epochs=20, learning_rate=0.03)
    other = [np.array([7, 6, 5, 4, 3, 2, 7, 6, 5, 4])] * 6
    lessons = replace(
        session_lessons(sessions(), settings),
        validation=lambda: session_windows(join(other), rows=6, window=16, rng=None),
    )
    result = fit(lessons, VOCABULARY, settings)
    bits = [epoch.validation_bits for epoch in result.history]
    assert result.outcome == "early"
    assert len(bits) == bits.index(min(bits)) + 1 + PATIENCE < 20
    model = result.model
    assert total_nats(model, lessons.validation()) / 66 / np.log(2) == pytest.approx(min(bits), rel=1e-5)


def test_gradients_are_clipped_and_their_norm_is_told() -> None:
    """A step's gradient has at most norm one after it, while the history holds what it was before."""
    run = Run(SMALL, VOCABULARY, torch.device("cpu"))
    [nats, _] = next(iter(losses(run.model, session_lessons(sessions(), SMALL).training(0))))
    before = run.learn(nats)
    after = torch.linalg.vector_norm(
        torch.stack([torch.linalg.vector_norm(p.grad) for p in run.model.parameters() if p.grad is not None])
    )
    assert before > 10
    assert float(after) == pytest.approx(GRADIENT_NORM, rel=1e-3)
    [epoch, *_] = fit_sessions(replace(SMALL, epochs=1)).history
    assert 0 < epoch.gradient_mean <= epoch.gradient_max


def test_progress_is_told_as_it_comes() -> None:
    """Reports run through the epochs in order with a rising fraction."""
    seen: list[Progress] = []
    fit(session_lessons(sessions(), SMALL), VOCABULARY, SMALL, report=seen.append)
    assert [step.epoch for step in seen] == sorted(step.epoch for step in seen)
    assert {step.epoch for step in seen} == set(range(4))
    assert all(0 < step.fraction <= 1 and step.loss_bits > 0 and step.events_per_s > 0 for step in seen)


def test_a_window_without_events_is_no_progress() -> None:
    """The first windows of a long stream may only warm the state: there is no rate and no loss to tell."""
    lessons = session_lessons(sessions(), SMALL)

    def training(number: int) -> Iterator[Window]:
        for at, window in enumerate(lessons.training(number)):
            yield replace(window, weights=window.weights * np.float32(at > 0))

    seen: list[Progress] = []
    fit(replace(lessons, training=training), VOCABULARY, SMALL, report=seen.append)
    assert seen
    assert min(step.events_per_s for step in seen) > 0


def test_the_learning_rate_rises_and_falls() -> None:
    """It peaks after the warm-up and ends at a hundredth."""
    assert learning_rate_factor(0.05) == pytest.approx(0.5)
    assert learning_rate_factor(0.1) == pytest.approx(1.0)
    assert learning_rate_factor(1.0) == pytest.approx(0.01)


def test_nothing_to_learn_from_is_refused() -> None:
    """No events, no model."""
    with pytest.raises(BadSetup, match="no event"):
        session_lessons([], SMALL)
    with pytest.raises(BadSetup, match="no event"):
        stream_lessons([np.zeros(0, np.int64)], SMALL)


@pytest.mark.parametrize("count", [1, 2, 11])
def test_a_handful_of_sessions_is_enough(count: int) -> None:
    """Where a tenth is less than one session, training validates on itself."""
    settings = replace(SMALL, epochs=1)
    result = fit(session_lessons(sessions(count), settings), VOCABULARY, settings)
    assert np.isfinite(result.history[0].validation_bits)


def test_settings_and_counts_need_no_torch() -> None:
    """A command line can offer the settings, and serving count a session, where torch is not installed."""
    code = "import sys, training.model.settings, training.model.counts; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_gpu_learns_as_a_cpu_does_or_is_refused_where_there_is_none() -> None:
    """On a GPU the same run ends about where it does on a CPU; there is no silent fall back."""
    if not torch.cuda.is_available():
        with pytest.raises(BadSetup, match="no GPU"):
            fit_sessions(replace(SMALL, device="cuda"))
        return
    gpu, cpu = fit_sessions(replace(SMALL, device="cuda")), fit_sessions(SMALL)
    assert gpu.history[-1].validation_bits == pytest.approx(cpu.history[-1].validation_bits, rel=0.05)
    assert next(gpu.model.parameters()).device.type == "cpu"
