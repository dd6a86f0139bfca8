"""The plots of a benchmark's page. Pure; matplotlib is imported when something is drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from training.benchmark.table.results import OfSessions
from training.benchmark.table.rows import StreamRow
from training.report.svg import BLUE, INK, ORANGE, RED, log_ticks, plain_labels, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (BLUE, ORANGE, "#4a8f5b", "#8a5fa8", "#8c6d4f", RED)
SHORT = {
    "new event + length + count vector, idf": "combination",
    "the strangest of all simple ones": "strangest",
    "edit distance": "edit",
    "count vector of windows, idf": "counts",
    "new event, every time": "event, always",
    "new event, once": "event",
    "new 2-gram, once": "2-gram",
    "new 3-gram, once": "3-gram",
    "DeepLog-style window, top-k": "DeepLog",
    "temporal convolution, largest surprise": "convolution",
}
LEAST_RATE = 0.1  # alerts per 10,000 sessions, as low as a plot goes


def precision_recall_plot(name: str, results: Sequence[OfSessions]) -> str:
    """Precision by recall of each detector, at the population's prevalence."""

    def draw(axes: "Axes") -> None:
        for colour, result in zip(COLOURS, results, strict=False):
            recall, precision = np.array(result.curve).T
            axes.step(recall, precision, where="post", color=colour, label=short(result.detector))
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")

    return svg(f"{name}-pr", draw) if any(result.curve for result in results) else ""


def alert_rate_plot(name: str, results: Sequence[OfSessions]) -> str:
    """False alerts seen for each budget, beside what was asked for; none seen lies at the bottom."""

    def draw(axes: "Axes") -> None:
        asked = np.array([budget for budget, _, _, _ in results[0].rates])
        axes.plot(asked, asked, color=INK, linestyle=":", linewidth=1.2, label="as asked")
        axes.fill_between(asked, asked / 2, asked * 2, color=INK, alpha=0.07, linewidth=0)
        for number, (colour, result) in enumerate(zip(COLOURS, results, strict=False)):
            budgets, seen, low, high = np.maximum(np.array(result.rates).T, LEAST_RATE)
            shifted = budgets * 1.04**number  # so that intervals do not hide one another
            axes.errorbar(
                shifted,
                seen,
                np.maximum([seen - low, high - seen], 0),
                color=colour,
                marker="o",
                markersize=3.5,
                linewidth=1,
                elinewidth=0.8,
                label=short(result.detector),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        log_ticks(axes.xaxis)
        log_ticks(axes.yaxis)
        axes.set_xlabel("budget per 10,000 sessions")
        axes.set_ylabel("false alerts seen")

    return svg(f"{name}-rates", draw) if results and results[0].rates else ""


def incident_plot(name: str, rows: Sequence[StreamRow]) -> str:
    """Share of incidents found against alerts outside them, a point for each budget and detector."""

    def draw(axes: "Axes") -> None:
        detectors = list(dict.fromkeys(row.detector for row in rows))
        for number, detector in enumerate(detectors):
            same = sorted(
                (row for row in rows if row.detector == detector),
                key=lambda row: row.outside_per_million.rate,
            )
            outside = [row.outside_per_million.rate for row in same]
            axes.plot(
                outside,
                [row.found for row in same],
                color=COLOURS[number % len(COLOURS)],
                marker="o" if number < len(COLOURS) else "s",
                markersize=4,
                label=short(detector),
            )
        axes.set_ylim(0, 1.02)
        axes.set_xlim(left=0)
        plain_labels(axes.xaxis)
        axes.set_xlabel("alerts outside incidents, a million lines")
        axes.set_ylabel("incidents found")

    return svg(f"{name}-incidents", draw) if rows else ""


def short(detector: str) -> str:
    """A detector's name as a legend bears it."""
    return SHORT.get(detector, detector.removesuffix(", largest surprise"))
