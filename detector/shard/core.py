"""Bind the pure core to a bundle, its input settings and a budget. Reads the bundle's files."""

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from detector.bundle import Bundle, Calibration, InputSettings, load
from detector.errors import BadSetup
from detector.inputs.kafka.spans import since
from detector.inputs.siblings import Feed
from detector.records import END, UNKNOWN
from detector.shard.dating import Dating
from detector.shard.reader import Bounds, Reader, decode_settings
from detector.stages.header import header
from detector.stages.header.header import Headers
from detector.stages.judge.alerts import Naming
from detector.stages.judge.budget import event_threshold, score_threshold
from detector.stages.judge.policy import Explain, Policy
from detector.stages.parse import vocabulary
from detector.stages.parse.parse import Parser

SECOND_US = 1_000_000
STREAM_IDLE_S = 7 * 86_400.0  # a long-lived source that is quiet for so long is forgotten
REMEMBER_S = 7 * 86_400.0  # longer than stamps without a date, or without a time of day, repeat themselves
QUIET_SHARE = 6  # after many quiet events an alert is over in this fraction of its time


class Rules(msgspec.Struct, frozen=True):
    """What a configuration says about judging."""

    budget: float | None = None  # None: the bundle's
    new_messages: bool | None = None  # whether they alert; None: as the bundle says
    after_lines: int = 5
    resolve_after_s: float = 1800.0
    max_carried: int = 16
    allowed_lateness_s: float = 5.0
    bounds: Bounds = Bounds()


class Core(msgspec.Struct, frozen=True):
    """Everything that turns records into alerts."""

    bundle: Bundle
    input: InputSettings
    policy: Policy
    explain: Explain
    parser: Parser
    headers: Headers
    dating: Dating
    rules: Rules
    where: Path  # the bundle's directory, links followed
    again: Callable[[Path], "Core"]  # the same settings with another bundle

    def new_reader(self) -> Reader:
        """A reader that has read nothing; it dates lines by the files that `feeds` has named."""
        return Reader(self.input, self.headers, self.rules.bounds, self.dating.latest_us)

    def feeds(self, paths: Iterable[str]) -> list[Feed]:
        """The logs that files belong to, as the bundle or the command says."""
        return self.dating.feeds(paths)


def build(
    path: Path,
    overrides: dict[str, object],
    rules: Rules,
    inputs: list[str],
    *,
    want_scores: bool = False,
    config: Path | None = None,
) -> Core:
    """Load a bundle and prepare to read, parse, score and judge with it.

    `overrides` are input settings that differ from the bundle's; a `config` that says them is named in their
    place in the command that shows an alert again.

    Raises:
        BadSetup: the bundle or a setting cannot be used.
    """
    where = path.resolve()  # before it is read: should a link be changed meanwhile, the digests tell
    bundle = load(path)
    settings = effective(bundle.manifest.input, overrides)
    session = bundle.calibration.session is not None
    if settings.session != session:
        kind = "sessions" if session else "long-lived sources"
        raise BadSetup(f"{path} was trained for {kind}; train another bundle to judge the other kind")
    parser = Parser(vocabulary.from_json(_part(bundle, "vocabulary")))
    headers = header.from_json(_part(bundle, "headers"))
    dating = Dating(settings, headers, rules.bounds)
    return Core(
        bundle=bundle,
        input=settings,
        policy=_policy(
            bundle,
            settings,
            rules,
            _replay_command(path, overrides, inputs, rules.budget, config),
            want_scores,
        ),
        explain=explain_by(parser),
        parser=parser,
        headers=headers,
        dating=dating,
        rules=rules,
        where=where,
        again=lambda other: build(other, overrides, rules, inputs, want_scores=want_scores, config=config),
    )


def effective(trained: InputSettings, overrides: dict[str, object]) -> InputSettings:
    """The bundle's input settings with what somebody said otherwise."""
    return msgspec.structs.replace(trained, **{k: v for k, v in overrides.items() if v is not None})


def _part(bundle: Bundle, name: str) -> object:
    try:
        return bundle.templates[name]
    except KeyError:
        raise BadSetup(
            f"{bundle.path / 'templates.json'}: there is no {name!r}; fit the bundle again"
        ) from None


def _policy(
    bundle: Bundle,
    settings: InputSettings,
    rules: Rules,
    command: Callable[[int | None], str],
    want_scores: bool,
) -> Policy:
    calibration = bundle.calibration
    if rules.new_messages is not None:
        calibration = _with_new_messages(calibration, alert=rules.new_messages)
    budget = calibration.budget if rules.budget is None else rules.budget
    session = calibration.session is not None
    idle_s = settings.idle_timeout_s if session else settings.idle_timeout_s or STREAM_IDLE_S
    stream = calibration.stream
    resolve_us = round(rules.resolve_after_s * SECOND_US)
    return Policy(
        calibration=calibration,
        session=session,
        budget=budget,
        threshold=score_threshold(calibration, budget),
        event_threshold=event_threshold(budget),
        prior_total=sum(stream.counts) if stream is not None else 0.0,
        idle_us=None if idle_s is None else round(idle_s * SECOND_US),
        lateness_us=round(rules.allowed_lateness_s * SECOND_US),
        resolve_us=resolve_us,
        quiet_us=resolve_us // QUIET_SHARE,
        remember_us=_remember_us(settings, rules.bounds),
        max_carried=rules.max_carried,
        naming=Naming(bundle=bundle.id, after_lines=rules.after_lines, replay=command),
        want_scores=want_scores,
    )


def _with_new_messages(calibration: Calibration, *, alert: bool) -> Calibration:
    """Each message that its source never showed is an alert, or none is, however many there are."""
    stream = calibration.stream
    if stream is not None:
        stream = msgspec.structs.replace(stream, news=None)
    return msgspec.structs.replace(calibration, new_template_alerts=alert, stream=stream)


def _remember_us(settings: InputSettings, bounds: Bounds) -> int:
    """For as long as a line is believed that comes late, and begins like one of a life before it."""
    decoding = decode_settings(settings, bounds)
    return max(round(REMEMBER_S * SECOND_US), decoding.max_pause_us, decoding.max_future_us)


def explain_by(parser: Parser) -> Explain:
    """How a parser puts tokens and lines in words."""

    def template(token: int) -> tuple[str, str]:
        found = parser.vocabulary.template(token)
        if found is not None:
            return found.id, parser.vocabulary.text(token)
        return "", {END: "(the end)", UNKNOWN: "(a new message)"}.get(token, "")

    return Explain(template=template, parameters=parser.parameters, pattern=parser.pattern)


def _replay_command(
    path: Path, overrides: dict[str, object], inputs: list[str], budget: float | None, config: Path | None
) -> Callable[[int | None], str]:
    """The command that shows the same alert again, given when the source's life began: topics may be long."""
    words = ["--bundle", str(path)]
    if config is None:
        for name, value in overrides.items():
            words += _option(_FLAGS[name], value) if name in _FLAGS else []  # others the configuration says
        words += [] if budget is None else ["--budget", str(budget)]
    else:
        words += ["--config", str(config)]
    return lambda began_us: shlex.join(
        ["tailrace", "replay", *(since(one, began_us) for one in inputs), *words]
    )


_FLAGS = {
    "parser": "parser",
    "source_fields": "source_field",
    "source_regex": "source_regex",
    "session": "session",
    "idle_timeout_s": "idle_timeout",
    "event_field": "event_field",
    "sequence_rows": "sequence_rows",
    "trace_field": "trace_field",
    "trace_regex": "trace_regex",
    "rotated": "rotated",
}


def _option(name: str, value: object) -> list[str]:
    flag = "--" + name.replace("_", "-")
    match value:
        case None:
            return []
        case bool():
            return [flag if value else "--no-" + flag[2:]]
        case list() | tuple():
            return [word for one in value for word in (flag, str(one))]
        case _:
            return [flag, str(value)]
