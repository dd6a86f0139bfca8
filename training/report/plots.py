"""Draw the plots of the training report as SVG. Pure; matplotlib is imported when something is drawn.

Every function gives an <svg> element, or nothing where there are no finite values to draw.
"""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from training.report.data import BudgetPoint, Epoch
from training.report.svg import BLUE, FAINT, INK, ORANGE, RED, log_ticks, plain_labels, svg, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 60


def loss_plot(epochs: Sequence[Epoch]) -> str:
    """Loss in bits an event by epoch, with the epoch that was kept."""
    held_out = [epoch.validation_loss_bits for epoch in epochs]
    if not any(map(isfinite, held_out)):
        return ""
    best = int(np.nanargmin(np.where(np.isfinite(held_out), held_out, np.nan)))

    def draw(axes: "Axes") -> None:
        _by_epoch(axes, [epoch.loss_bits for epoch in epochs], BLUE, "trained on")
        _by_epoch(axes, held_out, ORANGE, "held out")
        axes.plot(
            best + 1, held_out[best], "o", color=ORANGE, markerfacecolor="white", markersize=8, zorder=3
        )
        axes.set_ylabel("bits an event")
        _epochs_below(axes, len(epochs))

    return svg("loss", draw)


def gradient_plot(epochs: Sequence[Epoch], clip: float) -> str:
    """Norm of the gradient by epoch, on a logarithmic scale, with the clip."""
    largest = [epoch.gradient_norm_max for epoch in epochs]
    if not any(isfinite(norm) and norm > 0 for norm in largest):
        return ""

    def draw(axes: "Axes") -> None:
        _by_epoch(axes, largest, FAINT, "largest", zorder=1.9)
        _by_epoch(axes, [epoch.gradient_norm_mean for epoch in epochs], BLUE, "mean")
        if isfinite(clip) and clip > 0:
            axes.axhline(clip, color=RED, linestyle="--", linewidth=1.2, label=f"clip at {clip:g}")
        axes.set_yscale("log")
        axes.set_ylabel("norm")
        log_ticks(axes.yaxis)
        _epochs_below(axes, len(epochs))

    return svg("gradient", draw)


def score_plot(scores: Sequence[float], threshold: float) -> str:
    """How many held-out normals have which score, on a logarithmic scale, and the threshold."""
    finite = np.array([score for score in scores if isfinite(score)])
    if not len(finite):
        return ""

    def draw(axes: "Axes") -> None:
        axes.hist(finite, bins=BINS, color=BLUE, alpha=0.85)
        if isfinite(threshold):
            axes.axvline(
                threshold, color=RED, linestyle="--", linewidth=1.2, label=f"threshold {threshold:.3g}"
            )
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        log_ticks(axes.yaxis)
        axes.set_xlabel("score")
        axes.set_ylabel("how many")

    return svg("score", draw)


def budget_plot(budgets: Sequence[BudgetPoint], per: str) -> str:
    """Measured false alerts for each budget with their interval, beside what was asked for."""
    points = [point for point in budgets if point.budget > 0 and isfinite(point.high)]
    points.sort(key=lambda point: point.budget)
    if not points:
        return ""
    asked = np.array([point.budget for point in points])
    expected = np.array([point.expected for point in points])
    below = expected - np.array([point.low for point in points])
    above = np.array([point.high for point in points]) - expected

    def draw(axes: "Axes") -> None:
        axes.plot(asked, asked, color=INK, linestyle=":", linewidth=1.2, label="as asked")
        spread = np.maximum([below, above], 0)
        axes.errorbar(asked, expected, spread, color=BLUE, marker="o", capsize=3, label="measured, 95 %")
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=float(asked[0]))
        axes.set_ylim(bottom=0)
        log_ticks(axes.xaxis)
        plain_labels(axes.yaxis)
        axes.set_xlabel(f"budget {per}")
        axes.set_ylabel(f"alerts {per}")

    return svg("budget", draw)


def _by_epoch(axes: "Axes", values: Sequence[float], color: str, label: str, zorder: float = 2.0) -> None:
    marker = "o" if len(values) == 1 else ""
    axes.plot(range(1, len(values) + 1), values, color=color, marker=marker, label=label, zorder=zorder)


def _epochs_below(axes: "Axes", epochs: int) -> None:
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, epochs + 0.5)
    whole_ticks(axes.xaxis)
