"""What a bundle holds, in plain values. Reads the bundle through its own loader."""

from dataclasses import asdict, dataclass
from pathlib import Path

from detector.bundle import Bundle, Calibration, load
from detector.stages.header import header
from detector.stages.judge.budget import PER_SESSIONS, event_threshold, score_threshold
from detector.stages.parse import vocabulary

BUDGETS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """What one budget means."""

    budget: float  # false alerts a day, or per 10,000 sessions
    threshold: float
    held_out: int | None  # held-out normal sessions that reach the threshold; None where not kept


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """A template with its id."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """A bundle in words and numbers."""

    bundle: str
    path: str
    created: str
    kind: str  # sessions | long-lived sources
    versions: dict[str, str]
    data: dict[str, object]
    model: dict[str, object]
    input: dict[str, object]
    files: dict[str, int]  # bytes
    headers: list[str]
    templates: list[TemplateRow]
    budget: float
    per: str
    held_out: int  # normal sessions, or events of long-lived sources, that calibrated
    event_threshold: float | None  # z of a single event, sessions alone
    budgets: list[BudgetRow]

    def plain(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self)


def inspect_bundle(path: Path) -> Inspection:
    """Load and verify a bundle and say what it holds.

    Raises:
        BadSetup: it cannot be used.
    """
    bundle = load(path)
    calibration, manifest = bundle.calibration, bundle.manifest
    templates = vocabulary.from_json(bundle.templates.get("vocabulary"))
    session = calibration.session
    return Inspection(
        bundle=bundle.id,
        path=str(path),
        created=manifest.created,
        kind="long-lived sources" if session is None else "sessions",
        versions=manifest.versions,
        data=manifest.data,
        model=manifest.model,
        input=_input(bundle),
        files={name: (path / name).stat().st_size for name in sorted(manifest.files)},
        headers=header_words(bundle),
        templates=[TemplateRow(template.id, template.text) for template in templates.templates],
        budget=calibration.budget,
        per="a day" if session is None else "per 10,000 sessions",
        held_out=_held_out(calibration),
        event_threshold=None if session is None else event_threshold(calibration.budget),
        budgets=[_budget(calibration, budget) for budget in BUDGETS],
    )


def header_words(bundle: Bundle) -> list[str]:
    """What lines begin with, one sentence of column names for each header."""
    columns = header.to_json(header.from_json(bundle.templates.get("headers")))
    return [" ".join(str(column["piece"]) for column in one) for one in _rows(columns)]


def _rows(columns: object) -> list[list[dict[str, object]]]:
    return columns if isinstance(columns, list) else []


def _input(bundle: Bundle) -> dict[str, object]:
    settings = bundle.manifest.input
    plain = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return {name: value for name, value in plain.items() if value not in (None, [], False)}


def _held_out(calibration: Calibration) -> int:
    if calibration.session is not None:
        return calibration.session.sessions
    return 0 if calibration.stream is None else calibration.stream.events


def _budget(calibration: Calibration, budget: float) -> BudgetRow:
    threshold = score_threshold(calibration, budget)
    session = calibration.session
    if session is None or (session.totals and threshold < session.totals[-1]):
        return BudgetRow(budget, threshold, None)
    return BudgetRow(budget, threshold, sum(total >= threshold for total in session.totals))


def expected(row: BudgetRow, inspection: Inspection) -> float | None:
    """False alerts per 10,000 sessions that the held-out sessions let expect; None where unknown."""
    if row.held_out is None or not inspection.held_out:
        return None
    return row.held_out / inspection.held_out * PER_SESSIONS
