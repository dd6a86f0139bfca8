"""What commands do first: read the configuration and bind the core. Reads files and the environment."""

import gc
import logging
import os
import sys
import time
from pathlib import Path

import structlog
from structlog.typing import EventDict, Processor

from detector.cli.options import InputOptions
from detector.cli.repeats import Repeats
from detector.config import Settings, load
from detector.errors import BadSetup
from detector.notify.console import printable
from detector.shard.core import Core, Rules, build
from detector.shard.reader import Bounds

EXIT_INTERRUPTED = 130
NO_BUNDLE = (
    "no bundle is named: set bundle.path in the configuration (tailrace.toml here, or --config FILE), "
    "or give --bundle DIR to a command that has it"
)
COLLECT_AFTER = 100_000  # objects more than before


def read_settings(config: Path | None) -> Settings:
    """The configuration; logging goes to standard error from here on, as it says."""
    settings = load(config, os.environ)
    _log_to_stderr(settings)
    return settings


def core_of(
    settings: Settings,
    bundle: Path | None,
    options: InputOptions,
    inputs: list[str],
    *,
    budget: float | None = None,
    want_scores: bool = False,
    config: Path | None = None,
) -> Core:
    """The core as configuration and options describe it; options go before the configuration.

    Commands that alerts name have options, unless it is `config` that says everything.

    Raises:
        BadSetup: no bundle is named, or something cannot be used.
    """
    path = bundle or settings.bundle.path
    if path is None:
        raise BadSetup(NO_BUNDLE)
    rules = Rules(
        budget=budget if budget is not None else settings.alerts.budget,
        new_messages=settings.alerts.new_messages,
        after_lines=settings.alerts.after_lines,
        resolve_after_s=settings.alerts.resolve_after_s,
        max_carried=settings.alerts.max_carried,
        allowed_lateness_s=settings.input.allowed_lateness_s,
        bounds=Bounds(settings.input.max_line_bytes, settings.input.max_future_s),
    )
    overrides = input_overrides(settings, options)
    return build(path, overrides, rules, inputs, want_scores=want_scores, config=config)


def input_overrides(settings: Settings, options: InputOptions) -> dict[str, object]:
    """Input settings of the configuration and of the command line, where they say something."""
    said = settings.input
    configured: dict[str, object] = {
        "envelope": said.envelope,
        "source_fields": None if said.source_fields is None else list(said.source_fields),
        "source_regex": said.source_regex,
        "session": said.session,
        "idle_timeout_s": said.idle_timeout_s,
        "event_field": said.event_field,
        "message_field": said.message_field,
        "time_field": said.time_field,
        "level_field": said.level_field,
        "trace_field": said.trace_field,
        "trace_regex": said.trace_regex,
        "timezone": None if said.timezone is None else str(said.timezone),
        "first_line_regex": said.first_line_regex,
        "rotated": said.rotated,
    }
    known = {name: value for name, value in configured.items() if value is not None}
    return known | options.settings()


def warn(sentence: str) -> None:
    """Tell people on standard error of what does not end the command."""
    sys.stderr.write(f"warning: {sentence}\n")


def collect_rarely() -> None:
    """Look for cycles rarely: states are many small objects without any, and it takes a third of the time."""
    gc.set_threshold(COLLECT_AFTER, 50, 100)


def _escaped(_logger: object, _method: str, entry: EventDict) -> EventDict:
    """Escape what a terminal would obey: names of files and what libraries say may be anything."""
    for name, value in entry.items():
        if isinstance(value, str) and not value.isprintable():
            lines = value.split("\n") if name == "exception" else [value]
            entry[name] = "\n".join(map(printable, lines))
    return entry


def _log_to_stderr(settings: Settings) -> None:
    level = {"debug": 10, "info": 20, "warning": 30, "error": 40}[settings.log.level]
    text = settings.log.format == "text"
    stamp: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Processor] = [structlog.processors.JSONRenderer()]
    if text:
        rendered = [_escaped, structlog.dev.ConsoleRenderer(colors=False)]
    structlog.configure(
        processors=[*stamp, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    # What libraries say of themselves takes the same form.
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*stamp, structlog.stdlib.add_logger_name, structlog.processors.format_exc_info],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(Repeats(time.monotonic))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
