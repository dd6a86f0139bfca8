"""Which alerts `tailrace alerts list` shows. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from cyclopts import Parameter, Token

from detector.errors import BadSetup
from detector.records import Alert

SEVERITIES: Final = ("info", "warning", "error", "critical")
Rule = Literal["sequence", "new-template", "ended-early", "silence", "slow"]


def _rule(_: object, tokens: Sequence[Token]) -> str:
    """The rule that is meant; ValueError with what there is, beside what the list shows of it."""
    from detector.notify.console import RULES, printable  # noqa: PLC0415  # --help need not wait

    said = tokens[0].value
    if said not in get_args(Rule):
        known = ", ".join(f"{name} (listed as {RULES[name]!r})" for name in get_args(Rule))
        raise ValueError(f"there is no rule {printable(said)!r}. Choose from: {known}.")
    return said


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Wanted:
    """All that is said must hold; what is not said holds for every alert."""

    status: Annotated[
        Literal["firing", "resolved"] | None, Parameter(help="Only those that stand so now.")
    ] = None
    severity: Annotated[
        Literal["info", "warning", "error", "critical"] | None, Parameter(help="Only these, and worse ones.")
    ] = None
    rule: Annotated[
        Rule | None,
        Parameter(help="Only those that this rule found.", converter=_rule),
    ] = None
    source: Annotated[str | None, Parameter(help="Only of sources with this in their name.")] = None
    since: Annotated[
        str | None, Parameter(help="Only those that opened then or later: 2026-11-21T09:00:00Z.")
    ] = None

    def has(self) -> Callable[[Alert], bool]:
        """What says of an alert whether it is wanted.

        Raises:
            BadSetup: `since` is no time with its zone.
        """
        since = None if self.since is None else _time(self.since)
        return lambda alert: self._has(alert) and (since is None or _opened_from(alert, since))

    def _has(self, alert: Alert) -> bool:
        least = 0 if self.severity is None else SEVERITIES.index(self.severity)
        return (
            self.status in {None, alert.status}
            and self.rule in {None, alert.rule}
            and (self.source or "") in alert.source
            and SEVERITIES.index(alert.severity) >= least
        )


def _opened_from(alert: Alert, since: datetime) -> bool:
    """Whether it opened no earlier; where lines have no time, nobody knows."""
    return alert.opened_at is not None and datetime.fromisoformat(alert.opened_at) >= since


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadSetup("--since is no time with its zone: write one like 2026-11-21T09:00:00Z")
    return at
