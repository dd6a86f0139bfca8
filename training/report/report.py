"""Turn what training found into one HTML page that needs nothing else. No I/O but its template.

The page may be mailed and opened anywhere: no script, no outside resource, log text escaped.
"""

from dataclasses import dataclass
from importlib.resources import files
from math import inf, isfinite

from detector.words import counted, rate
from training.report.cautions import cautions
from training.report.cell_plots import held_plot, lag_plot, recall_plot
from training.report.data import ReportData
from training.report.plots import budget_plot, gradient_plot, loss_plot, score_plot

LARGE = 1000  # from here on digits after the point say nothing
TEMPLATES_SHOWN = 100
TEXT_SHOWN = 240  # characters of a line or a template


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot with its words."""

    title: str
    caption: str
    svg: str  # empty where there is nothing to draw


def render(data: ReportData) -> str:
    """The page as HTML; takes a second or two, most of it the first import of matplotlib."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  # not for --help
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(readable=readable, number=number, rate=rate, drawn=Markup)
    template = environment.from_string(
        files("training.report").joinpath("report.html").read_text(encoding="utf-8")
    )
    templates = sorted(data.templates, key=lambda template: (-template.count, template.text))
    return template.render(
        data=data,
        warnings=[*data.warnings, *cautions(data)],
        pictures=_pictures(data),
        of_cells=_of_cells(data),
        templates=templates[:TEMPLATES_SHOWN],
        hidden=templates[TEMPLATES_SHOWN:],
        matched=max(sum(template.count for template in templates), 1),
    )


def _pictures(data: ReportData) -> list[Picture]:
    return [
        Picture(
            "Loss",
            "Mean surprise of an event, on what was trained on and on what was held out. The model of the"
            " lowest held-out loss is the one in the bundle.",
            loss_plot(data.epochs),
        ),
        Picture(
            "Gradient norm",
            "Mean and largest of each epoch, before clipping.",
            gradient_plot(data.epochs, data.gradient_clip),
        ),
        Picture(
            "Gradient by lag",
            "How strongly an event bears on the surprise of one so much later: the norm of the gradient."
            " What lies below the dotted line is lost in rounding: the model cannot learn from there. Right"
            " of the window gradients are cut off, while the state is carried on.",
            lag_plot("lag", data.lags, data.window),
        ),
        Picture(
            "Scores of held-out normal data",
            _of_threshold(data),
            score_plot(data.scores, data.threshold),
        ),
        Picture(
            "False alerts, asked for and measured",
            f"False alerts {data.per} on normal data held out of training, for each budget, with the range"
            " that serving can expect.",
            budget_plot(data.budgets, data.per),
        ),
    ]


def _of_cells(data: ReportData) -> list[Picture]:
    """The comparison of cells, where there is one."""
    if not data.cells:
        return []
    return [
        Picture(
            "Gradient by lag, before training",
            "Norm of the gradient of an event's surprise by an event so much earlier, with weights as drawn"
            " from the seed: the slope is the rate at which gradients vanish.",
            lag_plot("drawn", [cell.drawn for cell in data.cells], data.window),
        ),
        Picture(
            "Gradient by lag, after training",
            "The same after training on a part of this data: what each cell learnt to carry.",
            lag_plot("learnt", [cell.trained for cell in data.cells], data.window),
        ),
        Picture(
            "Recall",
            "Rows of noise that begin with one of eight symbols and end with the question which it was. Each"
            " cell, with the sizes of the model, was trained from near distances to far ones, with gradients"
            " over the whole row and as many events as the others.",
            recall_plot(data.cells, data.chance),
        ),
        Picture(
            "Memory of a training step",
            "What back-propagation through one window holds, for a whole batch.",
            held_plot(data.cells, data.window),
        ),
    ]


def _of_threshold(data: ReportData) -> str:
    asked = f"Asked for: at most {counted(float(data.budget), 'false alert')} {data.per}."
    if not isfinite(data.threshold):
        return f"{asked} No score alerts: the data sets no threshold for that."
    return f"{asked} What lies right of the line alerts: {number(data.threshold)}, {data.basis}."


def readable(text: str) -> str:
    """Text that shows every character and no more than a table bears; tags are escaped elsewhere."""
    cut = text if len(text) <= TEXT_SHOWN else f"{text[: TEXT_SHOWN - 1]}…"
    return "".join(character if character.isprintable() else "·" for character in cut)


def number(value: float) -> str:
    """A count in full with separators, anything else with three significant digits."""
    if float(value).is_integer() or LARGE <= abs(value) < inf:
        return f"{value:,.0f}"
    return f"{value:.3g}"
