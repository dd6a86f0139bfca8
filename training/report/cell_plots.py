"""Draw what cells remember and what that costs, as SVG. Pure; matplotlib is imported when called."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from training.report.data import CellRow, LagCurve
from training.report.svg import BLUE, FAINT, GREEN, INK, ORANGE, log_ticks, plain_labels, powers, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {"gru": BLUE, "lstm": ORANGE, "rnn": GREEN, "trained": BLUE, "before training": FAINT}
MARKERS = {"gru": "o", "lstm": "s", "rnn": "^"}
FAINTEST = 1e-12  # of the largest norm: what lies below is not drawn
ROUNDED = 2.0**-24  # less than this share of a sum does not change it in float32


def lag_plot(name: str, curves: Sequence[LagCurve], window: int) -> str:
    """Norm of the gradient by lag, both logarithmic, with the truncation window."""
    largest = max((max(curve.norms, default=0.0) for curve in curves), default=0.0)
    if not 0 < largest < float("inf"):
        return ""

    def draw(axes: "Axes") -> None:
        for curve in curves:
            lags = range(1, len(curve.norms) + 1)
            axes.plot(lags, curve.norms, color=COLORS.get(curve.name, INK), label=curve.name)
        axes.axvline(window, color=INK, linestyle="--", linewidth=1.0, label=f"window {window:,}")
        axes.axhline(ROUNDED * largest, color=INK, linestyle=":", linewidth=1.2, label="lost in rounding")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(FAINTEST * largest, 3 * largest)
        axes.set_xticks([2**power for power in range(10)])
        plain_labels(axes.xaxis)
        powers(axes.yaxis)
        axes.set_xlim(1, max(len(curve.norms) for curve in curves))
        axes.set_xlabel("lag, events")
        axes.set_ylabel("norm")

    return svg(name, draw)


def recall_plot(cells: Sequence[CellRow], chance: float) -> str:
    """Share of symbols named by distance, and what a guess would name."""

    def draw(axes: "Axes") -> None:
        _by_cell(axes, cells, lambda cell: cell.recall)
        axes.axhline(chance, color=INK, linestyle=":", linewidth=1.2, label="guess")
        axes.set_xscale("log")
        axes.set_xticks([distance for distance, _ in cells[0].recall])
        axes.set_ylim(0, 1.05)
        plain_labels(axes.xaxis)
        axes.set_xlabel("distance, events")
        axes.set_ylabel("share named")

    return svg("recall", draw) if any(cell.recall for cell in cells) else ""


def held_plot(cells: Sequence[CellRow], window: int) -> str:
    """Memory of back-propagation by truncation window, both logarithmic."""

    def draw(axes: "Axes") -> None:
        _by_cell(axes, cells, lambda cell: cell.held)
        axes.axvline(window, color=INK, linestyle="--", linewidth=1.0, label=f"window {window:,}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([events for events, _ in cells[0].held])
        plain_labels(axes.xaxis)
        log_ticks(axes.yaxis)
        axes.set_xlabel("truncation window, events")
        axes.set_ylabel("MB")

    return svg("held", draw) if any(cell.held for cell in cells) else ""


def _by_cell(
    axes: "Axes", cells: Sequence[CellRow], points: Callable[[CellRow], Sequence[tuple[int, float]]]
) -> None:
    for cell in cells:
        across, up = zip(*points(cell), strict=True)
        axes.plot(
            across, up, color=COLORS.get(cell.name, INK), marker=MARKERS.get(cell.name), label=cell.name
        )
