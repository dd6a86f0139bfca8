"""What cells remember and cost: gradients by lag, the recall task, memory by window, the comparison."""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from detector.bundle import InputSettings
from detector.records import FIRST_TEMPLATE
from detector.shard.reader import Bounds
from tests.session_log import SOURCE, write_log
from training.cells import compare_cells, count_parameters
from training.made import Order
from training.make import make
from training.model.held import extrapolated_bytes, held_bytes
from training.model.lags import LAGS, gradient_by_lag, lag_rows
from training.model.model import BITS_PER_NAT, ModelShape, SequenceModel, build
from training.model.recall import CHANCE, NOISE, QUESTION, SYMBOLS, draw_rows, learn_recall
from training.model.run import Report
from training.model.sequences import Stream
from training.model.settings import CELLS, Cell, FitSettings

SEED = 3
SMALL = FitSettings(hidden=8, embedding=4, window=16, batch=8, epochs=2, seed=SEED, device="cpu")
every_cell = pytest.mark.parametrize("cell", CELLS)


def small(cell: Cell, hidden: int = 8) -> SequenceModel:
    """A model of nine tokens."""
    sys.stdout.write(f"seed {SEED}\n")
    return build(ModelShape(9, cell, hidden, 1, 4), SEED)


def tokens(steps: int, rows: int) -> Tensor:
    """Random tokens [T, B]."""
    return torch.randint(9, (steps, rows), generator=torch.Generator().manual_seed(SEED))


def forgetting(cell: Cell, bias: float) -> SequenceModel:
    """A model whose gate that keeps the state, forget or update, has this bias."""
    model = small(cell)
    biases = dict(model.recurrent.named_parameters())
    with torch.no_grad():
        biases["bias_ih_l0"][8:16] = bias
        biases["bias_hh_l0"][8:16] = 0.0
    return model


@every_cell
def test_a_gradient_is_that_of_the_surprise_by_what_came_before(cell: Cell) -> None:
    """Each norm is what nudging the event so far back does to the last surprise, in any direction."""
    model, row = small(cell).double(), tokens(6, 1)
    norms = gradient_by_lag(model, row)
    assert len(norms) == 5
    for lag, norm in enumerate(norms, 1):
        nudged = [_surprise(model, row, 5 - lag, axis, 1e-5) for axis in range(4)]
        before = [_surprise(model, row, 5 - lag, axis, -1e-5) for axis in range(4)]
        slopes = (np.array(nudged) - np.array(before)) / 2e-5
        assert norm == pytest.approx(float(np.linalg.norm(slopes)), rel=1e-6)


def _surprise(model: SequenceModel, row: Tensor, place: int, axis: int, by: float) -> float:
    """Bits of the last event where one coordinate of one event's embedding is moved."""
    inputs = model.embedding(row[:-1]).detach().clone()
    inputs[place, 0, axis] += by
    with torch.no_grad():
        tops, _ = model.recurrent(inputs)
        log_p = model.output(tops[-1]).log_softmax(-1)
    return -float(log_p[0, row[-1, 0]]) * BITS_PER_NAT


def test_gradients_vanish_in_an_rnn_and_not_behind_an_open_gate() -> None:
    """At lag 200 an LSTM that hardly forgets, and such a GRU, are many orders above a plain cell."""
    plain, lstm, gru = (
        gradient_by_lag(model, tokens(301, 8))
        for model in (small("rnn"), forgetting("lstm", 6.0), forgetting("gru", 6.0))
    )
    assert plain[0] > 1e-3
    assert plain[199] < 1e-12 * plain[0]
    for gated in (lstm, gru):
        assert gated[199] > 1e-3 * gated[0]
        assert gated[199] > 1e9 * plain[199]


def test_a_gate_that_forgets_loses_the_gradient_at_its_rate() -> None:
    """A state that keeps a hundredth at each step keeps little more of its gradient."""
    norms = gradient_by_lag(forgetting("lstm", -4.6), tokens(6, 8))
    assert norms[3] / norms[1] < 0.03


def test_rows_for_the_lags_are_consecutive_events_from_all_over() -> None:
    """The first row begins with the first event and the last one ends with the last."""
    rows = lag_rows(np.arange(5_000, dtype=np.int32))
    assert rows.shape[0] == LAGS + 1
    assert (np.diff(rows, axis=0) == 1).all()
    assert rows[0, 0] == 0
    assert rows[-1, -1] == 4_999
    assert lag_rows(np.arange(7)).tolist() == [[at] * rows.shape[1] for at in range(7)]


@pytest.mark.parametrize("distance", [2, 3, 50])
def test_only_the_first_event_tells_the_answer(distance: int) -> None:
    """Rows begin with a symbol, hold noise, and ask for it; the answer is as far away as was said."""
    rows = draw_rows(distance, 400, torch.Generator().manual_seed(SEED))
    assert rows.shape == (distance + 1, 400)
    assert torch.equal(rows[0], rows[distance])
    assert set(rows[0].tolist()) == set(range(SYMBOLS))
    assert (rows[distance - 1] == QUESTION).all()
    noise = rows[1 : distance - 1]
    assert ((noise >= SYMBOLS) & (noise < SYMBOLS + NOISE)).all()
    if distance > 2:
        assert abs(np.corrcoef(rows[0], noise[0])[0, 1]) < 0.2


@every_cell
def test_a_near_symbol_is_learnt(cell: Cell) -> None:
    """Over four events every cell remembers what a guess names one time in eight."""
    [near] = learn_recall(ModelShape(9, cell, 32, 1, 8), [4], events=80_000, seed=SEED)
    assert near.accuracy > 0.9 > 2 * CHANCE
    assert near.distance == 4


def test_a_gate_learns_to_remember_farther() -> None:
    """With as much training a GRU names nearly all symbols at a distance at which a plain cell fails."""
    gated, plain = (
        learn_recall(ModelShape(9, cell, 32, 1, 8), [100], events=500_000, seed=SEED)[0]
        for cell in ("gru", "rnn")
    )
    assert gated.accuracy > 0.9
    assert plain.accuracy < 0.5


def test_untrained_cells_guess() -> None:
    """Without training the exam finds no more than chance, within its error."""
    for recall in learn_recall(ModelShape(9, "gru", 8, 1, 4), (5, 20), events=0, seed=SEED):
        assert recall.accuracy == pytest.approx(CHANCE, abs=0.06)


def test_recall_tells_how_far_it_is() -> None:
    """The share rises to one, and the cost of an answer begins near that of a guess among eight."""
    seen: list[tuple[float, float]] = []
    learn_recall(
        ModelShape(9, "gru", 8, 1, 4), [9], events=3_000, seed=SEED, told=lambda *one: seen.append(one)
    )
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1
    assert seen[0][1] == pytest.approx(3, abs=0.5)


def test_recall_is_the_same_again() -> None:
    """One seed gives one result, and another seed another."""
    one, again, other = (
        learn_recall(ModelShape(9, "gru", 8, 1, 4), (5, 9), events=20_000, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other


@every_cell
def test_what_a_step_holds_grows_with_the_window(cell: Cell) -> None:
    """Four times the window or the rows hold four times as much; the least is state and prediction."""
    model = small(cell)
    one, long, wide = (held_bytes(model, *size) for size in ((16, 16), (64, 16), (16, 64)))
    assert long == pytest.approx(4 * one, rel=0.1)
    assert 3 * one < wide <= 4 * one
    assert one >= 16 * 16 * (8 + 9) * 4
    assert extrapolated_bytes(model, 16, 64) == pytest.approx(wide, rel=0.1)


def test_gates_cost_memory() -> None:
    """A plain cell holds less than a gated one of its size, and has a third or a quarter of the weights."""
    plain, gru, lstm = (small(cell, 32) for cell in ("rnn", "gru", "lstm"))
    assert 2 * held_bytes(plain, 64, 4) < min(held_bytes(gru, 64, 4), held_bytes(lstm, 64, 4))
    outside = 9 * 4 + 9 * 33
    assert count_parameters(gru) - outside == 3 * (count_parameters(plain) - outside)
    assert count_parameters(lstm) - outside == 4 * (count_parameters(plain) - outside)


@pytest.mark.parametrize("session", [True, False])
def test_cells_are_compared_alike(session: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its curves, recalls and memory, and all the same again but for the times."""
    monkeypatch.setattr("training.cells.DISTANCES", (2, 6))
    monkeypatch.setattr("training.cells.RECALL_EVENTS", 2_000)
    rng = np.random.default_rng(SEED)
    data: list[Stream] = [rng.integers(FIRST_TEMPLATE, 9, 60) for _ in range(20)]
    names: list[str] = []

    def stage(name: str) -> Report:
        names.append(name)
        return lambda _: None

    one, other = (compare_cells(data, 9, SMALL, stage, session=session) for _ in range(2))
    assert [facts.cell for facts in one] == ["gru", "lstm", "rnn"]
    untimed: Callable[..., object] = lambda facts: replace(facts, seconds=0.0, events_per_s=0.0)  # noqa: E731
    assert list(map(untimed, one)) == list(map(untimed, other))
    for facts in one:
        assert len(facts.drawn) == len(facts.trained) == LAGS
        assert facts.drawn != facts.trained
        assert [recall.distance for recall in facts.recalls] == [2, 6]
        assert facts.events_per_s > 0
        assert 0 < facts.held_out_bits < 10
    assert names[:4] == ["compare gru", "recall gru", "compare lstm", "recall lstm"]


def test_a_report_compares_the_cells_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--compare-cells` adds its part to the report; the model's own gradient by lag is in every one."""
    monkeypatch.setattr("training.cells.RECALL_EVENTS", 2_000)
    log = tmp_path / "jobs.log"
    write_log(log, jobs=60)
    pages = []
    for compare in (False, True):
        order = Order(
            paths=[str(log)],
            out=tmp_path / f"bundle{compare}",
            input=InputSettings(session=True, source_regex=SOURCE),
            model=SMALL,
            budget=None,
            contamination=0.0,
            resume=False,
            bounds=Bounds(),
            compare_cells=compare,
        )
        make(order, lambda *_: None, lambda _: lambda _: None, lambda: datetime.now(UTC))
        pages.append((order.out / "report.html").read_text(encoding="utf-8"))
    assert ["The cells compared" in page for page in pages] == [False, True]
    assert all("Gradient by lag</h3>" in page and ">before training<" in page for page in pages)
