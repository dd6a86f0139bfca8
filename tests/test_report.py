"""The training report: its numbers are there, log text cannot act, and little data still makes a page."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from math import inf, nan

import msgspec
import pytest

from detector.bundle import Calibration, SessionCalibration, StreamCalibration
from detector.stages.judge.budget import score_threshold
from tests.small_bundle import session_calibration, stream_calibration, tail
from training.report.basis import basis_of
from training.report.cautions import cautions
from training.report.data import (
    BudgetPoint,
    CellRow,
    Epoch,
    LagCurve,
    ReadAgain,
    ReportData,
    SurprisingLine,
    TemplateCount,
)
from training.report.report import number, readable, render
from training.report.told import missed

HOSTILE = "<script>alert('x')</script> \x1b[31m & \u202eevil"


def decaying(keep: float) -> list[float]:
    """Norms by lag of a gradient of which each step leaves so much."""
    return [0.3 * keep**lag for lag in range(1, 513)]


def cell(name: str, keep: float) -> CellRow:
    """One compared cell, whose gradient decays."""
    return CellRow(
        name=name,
        parameters=16_112,
        held_out_bits=1.625,
        seconds=12.5,
        events_per_s=61_234.5,
        drawn=LagCurve(name, decaying(keep / 2)),
        trained=LagCurve(name, decaying(keep)),
        recall=[(50, keep), (200, keep / 2), (1000, 0.125)],
        held=[(16, 2.5 * keep), (64, 10 * keep), (1024, 160 * keep)],
    )


EMPTY = ReportData(
    bundle="empty",
    created_at="2026-01-02T03:04:05Z",
    lines=0,
    events=0,
    sources=0,
    span="none",
    header="none",
    split="none",
    settings=(),
    epochs=(),
    gradient_clip=1.0,
    window=64,
    lags=(),
    cells=(),
    chance=0.125,
    scores=(),
    threshold=inf,
    basis="which follows from the budget",
    budget=2.0,
    per="a day",
    budgets=(),
    read_again=(),
    surprising=(),
    templates=(),
    warnings=(),
)
FULL = replace(
    EMPTY,
    bundle="shop",
    lines=1_234_567,
    events=1_200_001,
    sources=12,
    settings=(("cell", "gru"), ("seed", "17")),
    epochs=[Epoch(5 / at, 5.2 / at + 0.01 * at, 0.3, 0.9) for at in range(1, 13)],
    lags=[LagCurve("trained", decaying(0.97)), LagCurve("before training", decaying(0.8))],
    scores=[at / 100 for at in range(500)],
    threshold=4.321,
    budgets=[BudgetPoint(1, 5.1, 0.8, 0.2, 2.4), BudgetPoint(10, 4.0, 11.5, 7.9, 16.2)],
    read_again=[ReadAgain("swapped", 411, 0.5, 0.875, 0.625)],
    surprising=[SurprisingLine(17.25, "host-a", "40961:2", HOSTILE)],
    templates=[TemplateCount(f"t{at:04}", f"took <*> ms {at}", 3 * at) for at in range(1, 131)],
    warnings=["The data is too little for a budget of 1 a day."],
)


class _Outline(HTMLParser):
    """Every tag with its attributes, and the ids."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag."""
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href"}]


@pytest.fixture(scope="module")
def page() -> str:
    """The report of made-up data."""
    return render(FULL)


def _outline(page: str) -> _Outline:
    outline = _Outline()
    outline.feed(page)
    return outline


@pytest.mark.parametrize(
    "shown",
    [
        "1,234,567",
        "1,200,001",
        "17.2",
        "40961:2",
        ">12</td>",
        "7.9 to 16<",
        "4.32",
        "gru",
        "took &lt;*&gt; ms 130",
    ],
)
def test_the_numbers_are_there(page: str, shown: str) -> None:
    """Counts, lines, budgets with their intervals, the threshold, settings and templates."""
    assert shown in page


def test_log_text_cannot_act(page: str) -> None:
    """A line is shown and never run, and characters that turn text around are made visible."""
    assert "script" not in _outline(page).tags
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; ·[31m &amp; ·evil" in page


def test_the_page_needs_nothing_else(page: str) -> None:
    """Links lead only to elements of the page itself; its ids are unique."""
    outline = _outline(page)
    assert all(link.startswith("#") for link in outline.links)
    assert {link[1:] for link in outline.links} <= set(outline.ids)
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.tags.count("svg") == 5


def test_warnings_come_first(page: str) -> None:
    """They stand above every number."""
    assert page.index("The data is too little for a budget of 1 a day.") < page.index("1,234,567")


def test_templates_are_sorted_and_the_rare_are_summed_up(page: str) -> None:
    """130 templates: the hundred with most lines are shown; the last thirty have 3 + 6 + … + 90 lines."""
    counts = [int(count) for count in re.findall(r"took &lt;\*&gt; ms (\d+)<", page)]
    assert counts == list(range(130, 30, -1))
    assert "And 30 rarer templates with 1,395 lines;" in page
    one_more = [TemplateCount("t0", "once", 1), *FULL.templates[:100]]
    assert "And 1 rarer template with 1 line;" in render(replace(FULL, templates=one_more))


def test_the_same_data_makes_the_same_page(page: str) -> None:
    """A report can be compared with the one before."""
    assert render(FULL) == page


def test_nothing_to_show_is_said() -> None:
    """A run without epochs, scores or templates still has a page."""
    page = render(EMPTY)
    assert page.count("Nothing to draw.") == 5
    assert "Before you rely on it" not in page


def test_what_a_second_reader_gains_is_shown_where_there_is_one(page: str) -> None:
    """A row for each thing that was made wrong: how many alert with and without it, and where it points."""
    row = page[page.index("The second reader") :]
    for cell in ("swapped", "411", "50.0 %", "87.5 %", "62.5 %"):
        assert cell in row
    assert "The second reader" not in render(EMPTY)


def test_cells_are_shown_where_they_were_compared(page: str) -> None:
    """Each has a row with its cost and what it recalls, and four plots name every one of them."""
    assert "The cells compared" not in page
    compared = render(replace(FULL, cells=[cell("rnn", 0.5), cell("lstm", 0.9), cell("gru", 0.98)]))
    rows = re.findall(r"<tr><td>(rnn|lstm|gru)</td>(.*?)</tr>", compared)
    assert [name for name, _ in rows] == ["rnn", "lstm", "gru"]
    assert all("16,112" in row and "61,234" in row and "1.62" in row for _, row in rows)
    assert [re.findall(r">(\d+) %", row) for _, row in rows] == [
        ["50", "25", "12"],
        ["90", "45", "12"],
        ["98", "49", "12"],
    ]
    assert _outline(compared).tags.count("svg") == 9
    for plot in re.findall(r"<svg.*?</svg>", compared, re.DOTALL)[5:]:
        assert all(f">{name}<" in plot for name in ("rnn", "lstm", "gru"))
    ids = _outline(compared).ids
    assert len(ids) == len(set(ids))


def test_a_gradient_that_is_no_number_spoils_no_page() -> None:
    """A model that diverged has a report, too."""
    odd = replace(FULL, lags=[LagCurve("trained", [nan] * 512)])
    assert render(odd).count("Nothing to draw.") == 1


def test_what_is_not_finite_is_left_out() -> None:
    """A diverged epoch or an endless score spoils no plot."""
    odd = replace(
        FULL, epochs=[Epoch(nan, nan, inf, inf), *FULL.epochs], scores=[inf, nan, 1.0], threshold=inf
    )
    assert render(odd).count("Nothing to draw.") == 0


def test_long_text_is_cut() -> None:
    """A line of a megabyte does not make a page of a megabyte."""
    assert readable("x" * 10_000) == f"{'x' * 239}…"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234, "1,234"),
        (12.0, "12"),
        (0.012345, "0.0123"),
        (98765.4, "98,765"),
        (inf, "inf"),
        (nan, "nan"),
    ],
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    """Counts in full, measures with three digits."""
    assert number(value) == text


FOLLOWS = "which follows from the budget"


def calibration(
    days: float, *, session: SessionCalibration | None = None, stream: StreamCalibration | None = None
) -> Calibration:
    """What a threshold is taken from."""
    return Calibration(
        budget=1.0,
        days=days,
        hold_bits=4.0,
        worst_bits=3.0,
        surprise=tail(4.0, 0.3),
        new_templates=0,
        new_template_alerts=True,
        session=session,
        stream=stream,
    )


@pytest.mark.parametrize(
    ("days", "budget", "words"),
    [(1.0, 1.0, "too short"), (30.0, 1.0, FOLLOWS), (0.0, 1.0, FOLLOWS), (30.0, 500.0, "the lowest that is")],
)
def test_a_threshold_of_sources_says_what_it_rests_on(days: float, budget: float, words: str) -> None:
    """A floor is called a floor, and what the data is too short for is called extrapolated."""
    stream = msgspec.structs.replace(stream_calibration(), blocks=10_000, events=100_000)
    assert words in basis_of(calibration(days, stream=stream), budget)


@pytest.mark.parametrize(
    ("highest", "budget", "words"),
    [(3.0, 500.0, FOLLOWS), (3.0, 1.0, "are too few to show it"), (30.0, 1.0, "a smaller one has no lower")],
)
def test_a_threshold_of_sessions_says_what_it_rests_on(highest: float, budget: float, words: str) -> None:
    """Where few sessions are held out it is extrapolated, but never below what they do show."""
    totals = [highest - at / 100 for at in range(200)]
    session = msgspec.structs.replace(session_calibration(), totals=totals, sessions=1_000)
    assert words in basis_of(calibration(1.0, session=session), budget)


def test_a_budget_that_is_missed_is_said_with_what_to_do() -> None:
    """Of sessions and of sources; where the range reaches down to twice the budget, it may be chance."""
    session = calibration(0.0, session=session_calibration())
    stream = calibration(20.0, stream=stream_calibration())
    above, below = score_threshold(session, 1.0) + 1, 0.0
    [told] = missed(session, [above] * 13 + [below] * 987)
    assert "1 false alert per 10,000 sessions will not be kept: 76 to 220 are to be expected" in told
    assert told.endswith("Train on more normal logs, or ask for what can be kept: a higher --budget.")
    assert list(missed(session, [above] + [below] * 9_999)) == []
    above = score_threshold(stream, 1.0) + 1
    [told] = missed(stream, [above] * 120 + [below] * 880)
    assert "1 false alert a day will not be kept: 5.1 to 7.1 are to be expected" in told
    assert list(missed(stream, [above] * 30 + [below] * 970)) == []


def test_a_missed_budget_is_said_once_on_the_page() -> None:
    """The fit says it of the budget in force; of the others the page does."""
    points = [BudgetPoint(budget, 3, 130, 84, 1_234) for budget in (1.0, 2.0)]
    [told] = cautions(replace(EMPTY, budget=1.0, budgets=points))
    assert "A budget of 2 " in told
    assert "gave 130." in told
    assert "84 to 1,200" in render(replace(FULL, budgets=points))


def test_the_page_says_what_its_threshold_rests_on() -> None:
    """Asked for, threshold and reason stand in one sentence."""
    page = render(replace(FULL, budget=1.0, basis="the lowest that is ever used"))
    assert (
        "Asked for: at most 1 false alert a day. What lies right of the line alerts: 4.32, the lowest" in page
    )


def test_curves_that_warn() -> None:
    """Still falling, clipped most of the time, and a budget that cannot be kept."""
    falling = [Epoch(1, 3 - at, 2.0, 9.0) for at in range(3)]
    told = cautions(replace(EMPTY, epochs=falling, budgets=[BudgetPoint(1, 3, 2.5, 1, 4)]))
    assert [sentence.split(maxsplit=3)[1] for sentence in told] == ["held-out", "mean", "budget"]


def test_healthy_curves_warn_of_nothing() -> None:
    """Early stopping did its work, and the budget is kept."""
    healthy = [Epoch(1, loss, 0.5, 2.0) for loss in (3, 2, 2.5)]
    assert cautions(replace(EMPTY, epochs=healthy, budgets=[BudgetPoint(1, 3, 0.9, 0, 2)])) == []
