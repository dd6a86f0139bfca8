"""`tailrace alerts`: read back what was found. Reads the state file or Redis, and the environment."""

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from detector.cli.options import ConfigFile, Format
from detector.errors import BadSetup
from detector.records import Alert
from detector.store.alerts import read_alert, read_alerts

AlertId = Annotated[str, Parameter(name="ID", help="As `tailrace alerts list` prints it.")]
State = Annotated[
    Path | None,
    Parameter(name="--state", help="State file of `tailrace watch`; else path of [state], else Redis."),
]

_UNBOUNDED_WIDTH = 1_000_000  # columns: nothing is cut where no screen shows it

app = App(name="alerts", sort_key=4, help="List or show the alerts that were found.")


@app.command(name="list")
def list_alerts(*, state: State = None, output: Format = "text", config: ConfigFile = None) -> None:
    """List every alert as it stands now, the one that opened last at the end.

    Example: tailrace alerts list --state tailrace.db

    Raises:
        BadSetup: neither a state file nor Redis is named.
        Unreadable: the state file is not there.
        Unavailable: Redis cannot be reached.
    """
    _, payloads = _read(state, config)
    # Alerts are raised in another order where several files are read, or sessions are judged at their end.
    payloads.sort(key=lambda payload: _decode(payload).opened_at or "")
    if output == "json":
        _print_json(payloads)
    else:
        _print_table([_decode(payload) for payload in payloads])


@app.command(name="show")
def show(
    alert_id: AlertId, /, *, state: State = None, output: Format = "text", config: ConfigFile = None
) -> None:
    """Show one alert with its evidence: the lines around it and what was expected.

    Example: tailrace alerts show 5f2b8c0d1e4a7b93 --state tailrace.db

    Raises:
        BadSetup: neither a state file nor Redis is named, or there is no such alert in it.
        Unreadable: the state file is not there.
        Unavailable: Redis cannot be reached.
    """
    from detector.notify.console import printable, show_alert  # noqa: PLC0415  # --help need not wait

    where, payloads = _read(state, config, alert_id)
    if not payloads:
        raise BadSetup(
            f"no alert {printable(alert_id)} in {where}; `tailrace alerts list` shows those it has"
        )
    if output == "json":
        _print_json(payloads)
    else:
        show_alert(_console(), _decode(payloads[0]))


def _read(state: Path | None, config: Path | None, alert_id: str | None = None) -> tuple[object, list[bytes]]:
    """Where the alerts are, and all of them; or the one, if it is there."""
    if state is not None:
        return state, _of_file(state, alert_id)
    from detector.config import load  # noqa: PLC0415  # slow to import, and --help need not wait

    settings = load(config, os.environ)
    if settings.state.path is not None:
        return settings.state.path, _of_file(settings.state.path, alert_id)
    if settings.redis.url is not None:
        from detector.store.redis import written  # noqa: PLC0415
        from detector.store.redis.connect import nodes_at  # noqa: PLC0415

        with closing(nodes_at(settings.redis)) as nodes:
            return "redis", written.read_alerts(nodes, settings.redis.key_prefix, alert_id)
    raise BadSetup(
        "name the state file with --state FILE, or in the configuration as path of [state], or Redis as url "
        "of [redis]"
    )


def _of_file(path: Path, alert_id: str | None) -> list[bytes]:
    if alert_id is None:
        return read_alerts(path)
    payload = read_alert(path, alert_id)
    return [] if payload is None else [payload]


def _decode(payload: bytes) -> Alert:
    return msgspec.json.decode(payload, type=Alert)


def _print_json(payloads: list[bytes]) -> None:
    for payload in payloads:
        sys.stdout.write(payload.decode() + "\n")


def _print_table(alerts: list[Alert]) -> None:
    from detector.notify.console import printable  # noqa: PLC0415

    if not alerts:
        sys.stderr.write("no alerts\n")
        return
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, _ in _COLUMNS:
        table.add_column(name, overflow="fold", justify="right" if name == "SCORE" else "left")
    for alert in alerts:
        style = "red" if alert.status == "firing" else None
        table.add_row(*(printable(text(alert)) for _, text in _COLUMNS), style=style)
    console.print(table)


def _rule(alert: Alert) -> str:
    from detector.notify.console import RULES  # noqa: PLC0415

    return RULES.get(alert.rule, alert.rule)


_COLUMNS: list[tuple[str, Callable[[Alert], str]]] = [
    ("STATUS", lambda alert: alert.status),
    ("OPENED", lambda alert: alert.opened_at or "-"),
    ("SOURCE", lambda alert: alert.source),
    ("RULE", _rule),
    ("SCORE", lambda alert: f"{alert.score:.2f}"),
    ("ID", lambda alert: alert.alert_id),
]


def _console() -> Console:
    # No markup: a log names its source as it likes.
    width = None if sys.stdout.isatty() else _UNBOUNDED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False)
