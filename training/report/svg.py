"""The look of a plot, and its way into a page as an <svg> element. Imports matplotlib when called."""

import re
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

INK = "#2b3440"
PALE = "#cfd6de"
BLUE = "#2f6db3"
ORANGE = "#c8691c"
RED = "#b3322f"
GREEN = "#3b8457"
FAINT = "#9fbcdc"
FEW_DECADES = 200  # high over low of an axis
SIZE_INCHES = (5.2, 2.9)
LOOK: Any = {  # matplotlib's own type of a key differs between its releases
    "axes.axisbelow": True,
    "axes.edgecolor": PALE,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.5,
    "grid.color": "#e6eaef",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read out
    "svg.hashsalt": "tailrace",  # the same data gives the same page
    "xtick.color": INK,
    "ytick.color": INK,
}


def svg(name: str, draw: Callable[["Axes"], None]) -> str:
    """What `draw` puts on empty axes, with a legend above, as one element; `name` keeps its ids apart."""
    from matplotlib import rc_context  # noqa: PLC0415  # half a second that --help need not pay
    from matplotlib.figure import Figure  # noqa: PLC0415

    out = StringIO()
    with rc_context(LOOK):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper left", ncols=5, handlelength=1.6, columnspacing=1.4)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _element(out.getvalue(), name)


def _element(document: str, name: str) -> str:
    """The <svg> element of an SVG file, with ids of its own and of the width of its column."""
    element = document[document.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'\b(id="|xlink:href="#|url\(#)', rf"\g<1>{name}-", element)
    return re.sub(r'<svg (.*?)width="[^"]*" height="[^"]*"|<svg ', r'<svg role="img" \1', element, count=1)


def log_ticks(axis: "Axis") -> None:
    """Label a logarithmic axis as people write numbers: 1, 2 and 5 of each power where powers are few."""
    from matplotlib.ticker import LogLocator  # noqa: PLC0415

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < FEW_DECADES * low else (1,)))
    plain_labels(axis)


def powers(axis: "Axis") -> None:
    """Label a logarithmic axis of many decades by powers of ten, few enough to read."""
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415

    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_minor_formatter(NullFormatter())


def plain_labels(axis: "Axis") -> None:
    """Write 1,000 in place of 10³, and nothing beside minor ticks."""
    from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_ticks(axis: "Axis") -> None:
    """Ticks at whole numbers only, few enough to read."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
