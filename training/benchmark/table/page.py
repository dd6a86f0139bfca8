"""Turn a benchmark into one HTML page that needs nothing else. No I/O but its template.

Like the report of training: no script, no outside resource, text escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from training.benchmark.data.description import Named
from training.benchmark.detectors.reference.costs import Cost
from training.benchmark.table.curves import alert_rate_plot, incident_plot, precision_recall_plot
from training.benchmark.table.results import Kept, OfSessions
from training.benchmark.table.rows import FaultRow, Row, RunRow, SessionRow, StreamRow
from training.report.report import Picture, number, readable

DRAWN = 6  # detectors in one plot: ours, and the best of the others


@dataclass(frozen=True, slots=True)
class Section:
    """One data set of the page."""

    name: str
    title: str
    pictures: list[Picture]
    sessions: list[SessionRow]
    streams: list[StreamRow]
    faults: list[FaultRow]
    runs: list[RunRow]


def render(rows: Sequence[Row], found: Sequence[Kept], named: Sequence[Named], costs: Sequence[Cost]) -> str:
    """The page as HTML."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  # not for --help
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(readable=readable, number=number, drawn=Markup)
    template = environment.from_string(
        files("training.benchmark.table").joinpath("page.html").read_text(encoding="utf-8")
    )
    style = files("training.report").joinpath("report.html").read_text(encoding="utf-8")
    return template.render(
        sections=[section for one in named if (section := _section(one, rows, found)) is not None],
        costs=costs,
        style=Markup(style[style.index("<style>") : style.index("</style>") + len("</style>")]),  # noqa: S704  # our own
    )


def _section(named: Named, rows: Sequence[Row], found: Sequence[Kept]) -> Section | None:
    of_set = [row for row in rows if row.data_set == named.name]
    if not of_set:
        return None
    results = [
        result
        for kept in found
        if kept.data_set == named.name and kept.variant == "plain" and kept.seed == 0
        for result in kept.results
        if isinstance(result, OfSessions)
    ]
    streams = [row for row in of_set if isinstance(row, StreamRow)]
    return Section(
        name=named.name,
        title=named.description.title,
        pictures=[*_of_sessions(named.name, results), *_of_streams(named.name, streams)],
        sessions=[row for row in of_set if isinstance(row, SessionRow)],
        streams=streams,
        faults=[row for row in of_set if isinstance(row, FaultRow)],
        runs=[row for row in of_set if isinstance(row, RunRow)],
    )


def _of_sessions(name: str, results: Sequence[OfSessions]) -> list[Picture]:
    if not results:
        return []
    ours = [one for one in results if one.detector.startswith("tailrace")]
    others = sorted(
        (one for one in results if one not in ours), key=lambda one: one.average_precision, reverse=True
    )
    shown = [*ours, *others][:DRAWN]
    return [
        Picture(
            "Precision by recall",
            "First seed; every threshold, also those that nobody could have chosen beforehand.",
            precision_recall_plot(name, shown),
        ),
        Picture(
            "False alerts, asked for and seen",
            "First seed, with 95 % intervals; grey: between half and twice the budget.",
            alert_rate_plot(name, shown),
        ),
    ]


def _of_streams(name: str, rows: Sequence[StreamRow]) -> list[Picture]:
    whole = [row for row in rows if row.part == "all"]
    if not whole:
        return []
    caption = "A point for each budget. An incident is found by a new flag within 20 lines of its start."
    return [Picture("Incidents found and alerts outside them", caption, incident_plot(name, whole))]
