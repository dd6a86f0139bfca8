"""`tailrace alerts`: read back what was found. Reads the state file or Redis, and the environment."""

import os
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from detector.cli.options import ConfigFile, Format, StateOfAlerts
from detector.cli.resend import resend
from detector.cli.tables import console, print_table
from detector.cli.wanted import Wanted
from detector.errors import BadSetup
from detector.records import Alert
from detector.store.alerts import read_alerts

AlertId = Annotated[
    str,
    Parameter(name="ID", help="As `tailrace alerts list` prints it, or the beginning of it that is unique."),
]

_NAMED: Final = 3  # of the ids that are meant alike

app = App(name="alerts", sort_key=4, help="List or show the alerts that were found.")
app.command(resend)


@app.command(name="list")
def list_alerts(
    *,
    wanted: Wanted = Wanted(),  # noqa: B008  (frozen)
    state: StateOfAlerts = None,
    output: Format = "text",
    config: ConfigFile = None,
) -> None:
    """List alerts as they stand now, the one that opened last at the end.

    Example: tailrace alerts list --state tailrace.db --severity error

    Raises:
        BadSetup: neither a state file nor Redis is named, or --since is no time.
        Unreadable: the state file is not there.
        Unavailable: Redis cannot be reached.
    """
    has = wanted.has()
    _, payloads = _read(state, config)
    found = [(alert, payload) for payload in payloads if has(alert := _decode(payload))]
    # Alerts are raised in another order where several files are read, or sessions are judged at their end.
    found.sort(key=lambda one: one[0].opened_at or "")
    if output == "json":
        _print_json([payload for _, payload in found])
    elif found:
        print_table(
            _COLUMNS, [alert for alert, _ in found], lambda alert: alert.status == "firing", numbers={"SCORE"}
        )
    else:
        sys.stderr.write("no such alerts\n" if payloads else "no alerts\n")


@app.command(name="show")
def show(
    alert_id: AlertId, /, *, state: StateOfAlerts = None, output: Format = "text", config: ConfigFile = None
) -> None:
    """Show one alert with its evidence: the lines around it and what was expected.

    Example: tailrace alerts show 5f2b8c0d1e4a7b93 --state tailrace.db

    Raises:
        BadSetup: neither a state file nor Redis is named, or there is no such alert in it, or several are.
        Unreadable: the state file is not there.
        Unavailable: Redis cannot be reached.
    """
    from detector.notify.console import show_alert  # noqa: PLC0415  # --help need not wait

    where, payloads = _read(state, config, alert_id)
    payload = _meant(alert_id, where, {_decode(payload).alert_id: payload for payload in payloads})
    if output == "json":
        _print_json([payload])
    else:
        show_alert(console(), _decode(payload))


def _meant(alert_id: str, where: object, found: dict[str, bytes]) -> bytes:
    """The alert of that id, else the only one whose id begins so."""
    from detector.notify.console import printable  # noqa: PLC0415

    if alert_id in found:
        return found[alert_id]
    if not found:
        raise BadSetup(
            f"no alert {printable(alert_id)} in {where}; `tailrace alerts list` shows those it has"
        )
    if len(found) > 1:
        some = ", ".join(islice(found, _NAMED)) + (", ..." if len(found) > _NAMED else "")
        raise BadSetup(
            f"{len(found)} alerts in {where} begin with {printable(alert_id)}: {some}; give more of the one"
        )
    return next(iter(found.values()))


def _read(state: Path | None, config: Path | None, beginning: str = "") -> tuple[object, list[bytes]]:
    """Where the alerts are, and those whose ids begin so."""
    if state is not None:
        return state, read_alerts(state, beginning)
    from detector.config import load  # noqa: PLC0415  # slow to import, and --help need not wait

    settings = load(config, os.environ)
    if settings.state.path is not None:
        return settings.state.path, read_alerts(settings.state.path, beginning)
    if settings.redis.url is not None:
        from detector.store.redis import written  # noqa: PLC0415
        from detector.store.redis.connect import nodes_at  # noqa: PLC0415

        with closing(nodes_at(settings.redis)) as nodes:
            return "redis", written.read_alerts(nodes, settings.redis.key_prefix, beginning)
    raise BadSetup(
        "name the state file with --state FILE, or in the configuration as path of [state], or Redis as url "
        "of [redis]"
    )


def _decode(payload: bytes) -> Alert:
    return msgspec.json.decode(payload, type=Alert)


def _print_json(payloads: list[bytes]) -> None:
    for payload in payloads:
        sys.stdout.write(payload.decode() + "\n")


def _rule(alert: Alert) -> str:
    from detector.notify.console import RULES  # noqa: PLC0415

    return RULES.get(alert.rule, alert.rule)


_COLUMNS: list[tuple[str, Callable[[Alert], str]]] = [
    ("STATUS", lambda alert: alert.status),
    ("SEVERITY", lambda alert: alert.severity),
    ("OPENED", lambda alert: alert.opened_at or "-"),
    ("SOURCE", lambda alert: alert.source),
    ("RULE", _rule),
    ("SCORE", lambda alert: f"{alert.score:.2f}"),
    ("ID", lambda alert: alert.alert_id),
]
