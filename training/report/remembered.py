"""What the report says of memory: the model's gradient by lag, and the comparison of cells. No I/O."""

import torch

from training.cells import CellFacts
from training.made import Made
from training.model.lags import gradient_by_lag, lag_rows
from training.model.model import build
from training.report.data import CellRow, LagCurve

MEGABYTE = 1e6


def model_lags(made: Made) -> list[LagCurve]:
    """How far back the model learns, and how far it did as it was drawn."""
    model = made.trained.final.model
    rows = torch.from_numpy(lag_rows(made.corpus.grouped.events["token"]))
    drawn = build(model.shape, made.order.model.seed)
    return [
        LagCurve("trained", gradient_by_lag(model, rows)),
        LagCurve("before training", gradient_by_lag(drawn, rows)),
    ]


def cell_row(facts: CellFacts) -> CellRow:
    """A row and the curves of one cell."""
    return CellRow(
        name=facts.cell,
        parameters=facts.parameters,
        held_out_bits=facts.held_out_bits,
        seconds=facts.seconds,
        events_per_s=facts.events_per_s,
        drawn=LagCurve(facts.cell, facts.drawn),
        trained=LagCurve(facts.cell, facts.trained),
        recall=[(recall.distance, recall.accuracy) for recall in facts.recalls],
        held=[(window, size / MEGABYTE) for window, size in facts.held],
    )
