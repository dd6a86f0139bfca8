"""`tailrace replay`: what would have alerted. Reads files, writes alerts to standard output."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from detector.cli.feeds import feeds_of, files_of, has_topics
from detector.cli.options import BundleDir, ConfigFile, Format, InputOptions, Inputs
from detector.cli.outputs import need_folder
from detector.errors import BadSetup, Unreadable
from detector.words import counted, rate

if TYPE_CHECKING:
    from detector.cli.spool import Spool
    from detector.config import Settings
    from detector.embedded.replay import Step, Summary
    from detector.shard.core import Core


def replay(
    inputs: Inputs,
    /,
    *,
    bundle: BundleDir = None,
    scores: Annotated[
        Path | None, Parameter(help="File to write scores to: .csv or .jsonl, also .gz or .zst.")
    ] = None,
    score_level: Annotated[
        Literal["event", "source"] | None,
        Parameter(help="A row for every event, or for every source that ended; the default with sessions."),
    ] = None,
    budget: Annotated[
        str | None,
        Parameter(help="False alerts allowed, else as the bundle was fitted for; N,N compares several."),
    ] = None,
    rejects: Annotated[
        Path | None, Parameter(help="File to write records to that could not be read (JSON lines).")
    ] = None,
    format: Format = "text",  # noqa: A002
    fail_on_alert: Annotated[
        bool, Parameter(help="Exit 1 when there is an alert.", negative=(), show_default=False)
    ] = False,
    strict: Annotated[
        bool, Parameter(help="Exit 1 when a record could not be read.", negative=(), show_default=False)
    ] = False,
    keep_open: Annotated[
        bool,
        Parameter(
            help="Do not end sources at the end of the input; --session judges at the end.",
            negative=(),
            show_default=False,
        ),
    ] = False,
    options: InputOptions = InputOptions(),  # noqa: B008  (frozen)
    config: ConfigFile = None,
) -> int:
    """Run over past logs, by their own times, and print what would have alerted, with the evidence.

    Example: tailrace replay app.log --bundle bundle --budget 1
    """
    from detector.cli.start import core_of, read_settings  # noqa: PLC0415  # heavy: --help need not wait

    need_folder(scores, "--scores")
    need_folder(rejects, "--rejects")
    settings, budgets = read_settings(config), _budgets(budget)
    _check_outputs(inputs, scores, rejects)
    if len(budgets) > 1 and "-" in inputs:
        raise BadSetup("standard input can be read once: give one --budget, or a file")
    level = score_level
    code, damages = 0, list[str]()
    for number, one in enumerate(budgets):
        first = number == 0
        want_events = first and scores is not None and level != "source"
        core = core_of(settings, bundle, options, inputs, budget=one, want_scores=want_events)
        if level is None:
            level = "source" if core.policy.session else "event"
        with ExitStack() as stack:
            sinks = _Sinks(stack, core, scores if first else None, level, rejects if first else None)
            found: list[str] = []
            summary = _run(
                core, settings, inputs, sinks, found, keep_open=keep_open, show=first, json=format == "json"
            )
        _say(summary, core, json=format == "json")
        damages = damages or found
        if first:
            code = int((fail_on_alert and summary.alerts > 0) or (strict and summary.rejects > 0))
    if damages:
        raise Unreadable("; ".join(damages) + "; what could be read has been judged")
    return code


def _check_outputs(inputs: list[str], *outputs: Path | None) -> None:
    """Refuse to write over what is read, or one output over the other."""
    taken = {Path(path).resolve() for path in files_of(inputs) if path != "-"}
    for output in outputs:
        if output is None:
            continue
        if output.resolve() in taken:
            raise BadSetup(
                f"{output} would be written over: it is read or written already; name another file"
            )
        taken.add(output.resolve())


def _budgets(text: str | None) -> list[float | None]:
    if text is None:
        return [None]
    try:
        budgets = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise BadSetup(f"--budget {text}: give a number, or several with commas between them") from error
    if not all(0 < one < float("inf") for one in budgets):
        raise BadSetup(f"--budget {text}: a budget is a number above 0")
    return list(budgets)


class _Sinks:
    """The files that a replay writes."""

    def __init__(
        self, stack: ExitStack, core: "Core", scores: Path | None, level: str, rejects: Path | None
    ) -> None:
        from detector.cli.scores import score_file  # noqa: PLC0415
        from detector.shard import rows  # noqa: PLC0415  (imports the stages)

        self._rows = rows
        self._core = core
        self._events = level == "event"
        columns = rows.EVENT_COLUMNS if self._events else rows.SOURCE_COLUMNS
        self._scores = None if scores is None else stack.enter_context(score_file(scores, columns))
        self._rejects = None if rejects is None else stack.enter_context(_open_text(rejects))

    def take(self, step: "Step") -> None:
        """Write what one batch came to."""
        if self._scores is not None and self._events:
            for event in step.done.events:
                self._scores(self._rows.event_row(event, self._core.explain.template(event.token)[0]))
        elif self._scores is not None:
            for closed in step.done.closed:
                self._scores(self._rows.source_row(closed))
        if self._rejects is not None:
            for reject in step.rejects:
                text = reject.value.decode("utf-8", "backslashreplace")
                row = {
                    "origin": reject.origin,
                    "offset": reject.offset,
                    "reason": reject.reason,
                    "value": text,
                }
                self._rejects.write(msgspec.json.encode(row).decode() + "\n")


def _open_text(path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202  (an open text file)
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise BadSetup(f"{path} cannot be written: {error.strerror}") from error


def _run(
    core: "Core",
    settings: "Settings",
    inputs: list[str],
    sinks: _Sinks,
    damages: list[str],
    *,
    keep_open: bool,
    show: bool,
    json: bool,
) -> "Summary":
    """One run over all that can be read; `damages` takes what could not be."""
    from detector.cli.spool import Spool  # noqa: PLC0415
    from detector.cli.start import warn  # noqa: PLC0415  # heavy: --help need not wait
    from detector.embedded.replay import Replay  # noqa: PLC0415

    def damaged(error: Unreadable) -> None:
        damages.append(str(error).rstrip("."))

    told = warn if show else lambda _: None
    run = Replay(core, keep_open=keep_open)
    with Spool() as latest, feeds_of(core, settings, inputs, told, damaged) as feeds:
        for step in run.steps(feeds, of_feeds=has_topics(inputs)):
            sinks.take(step)
            _show(step, latest, json=json, show=show)
        _show_text(latest)
    if strange := run.strange() if show else "":
        warn(strange)
    if untraced := run.untraced() if show else "":
        warn(untraced)
    if unnamed := run.unnamed() if show else "":
        warn(unnamed)
    elif run.dropped:
        warn(
            f"lines that name no session were left out: {run.dropped} of {run.summary().lines}; "
            "check --source-regex and --source-field"
        )
    return run.summary()


def _show(step: "Step", latest: "Spool", *, json: bool, show: bool) -> None:
    """JSON goes out revision by revision; people see each alert once, as it ended."""
    for revision in step.done.revisions:
        if json and show:
            sys.stdout.buffer.write(revision.payload + b"\n")
        elif show:
            latest.add(revision)


def _show_text(latest: "Spool") -> None:
    from rich.console import Console  # noqa: PLC0415

    from detector.notify.console import show_alert  # noqa: PLC0415
    from detector.records import Alert  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for payload in latest.payloads():
        show_alert(console, msgspec.json.decode(payload, type=Alert))


def _say(summary: "Summary", core: "Core", *, json: bool) -> None:
    if json:
        sys.stdout.buffer.write(msgspec.json.encode(summary) + b"\n")
        return
    sys.stdout.write(
        f"{counted(summary.lines, 'line')}, {counted(summary.events, 'event')}, "
        f"{counted(summary.sources, 'source')}, {counted(summary.rejects, 'reject')}: "
        f"{counted(summary.alerts, 'alert')}\n{_of_budget(summary, core)}\n"
    )


def _of_budget(summary: "Summary", core: "Core") -> str:
    """What the budget would have allowed; it was asked for, and nothing here says which alerts are false."""
    per = "per 10,000 sessions" if core.policy.session else "a day"
    asked = f"budget: at most {counted(core.policy.budget, 'false alert')} {per}"
    if summary.expected_alerts is None:
        return f"{asked}; no times were found in the lines to count days by"
    allowed = f"{asked}, which allows {rate(summary.expected_alerts)} in this input"
    if summary.expected_alerts or core.policy.session:
        return allowed
    return f"{allowed}: the last time is not after the first"
