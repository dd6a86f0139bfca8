"""`tailrace parse`: what every line is. Reads files, writes JSON lines to standard output."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from detector.cli.feeds import feeds_of
from detector.cli.options import BundleDir, ConfigFile, InputOptions, Inputs
from detector.words import counted

if TYPE_CHECKING:
    from detector.records import Record
    from detector.shard.intake import Intake
    from detector.stages.judge.policy import Explain

SHOWN_REJECTS = 5  # a file of another kind may hold nothing else


def parse(
    inputs: Inputs,
    /,
    *,
    bundle: BundleDir = None,
    options: InputOptions = InputOptions(),  # noqa: B008  (frozen)
    config: ConfigFile = None,
) -> None:
    """Print what every line is, as JSON: its position, time, level, source, template and parameters.

    Example: tailrace parse app.log --bundle bundle
    """
    from detector.cli.start import core_of, read_settings, warn  # noqa: PLC0415  # heavy: --help need not wait
    from detector.shard.core import explain_by  # noqa: PLC0415
    from detector.shard.intake import Intake  # noqa: PLC0415
    from detector.stages.parse.parse import Parser  # noqa: PLC0415

    settings = read_settings(config)
    core = core_of(settings, bundle, options, inputs)
    parser = Parser(core.parser.vocabulary.without_codes())
    intake = Intake(core.new_reader(), parser)
    with feeds_of(core, settings, inputs, warn) as feeds:
        write_parsed(intake, feeds, explain_by(parser))
    if strange := intake.strange(whole=True):
        warn(strange)


def write_parsed(intake: "Intake", feeds: Mapping[str, Iterable[list["Record"]]], explain: "Explain") -> None:
    """Print the rows of every log, and on standard error the first rejects and how many there are."""
    from detector.cli.start import warn  # noqa: PLC0415

    count, first = 0, ""
    for origin, batches in feeds.items():
        for timed in intake.timed(origin, batches):
            batch = intake.batch(timed)
            write_rows(parsed_rows(batch.lines, batch.tokens, explain))
            for reject in intake.take_rejects():
                said = f"{reject.origin}:{reject.offset}: {reject.reason}"
                first = first or said
                if count < SHOWN_REJECTS:
                    sys.stderr.write(said + "\n")
                count += 1
    if count:
        warn(f"{counted(count, 'record')} could not be read; the first: {first}")


def parsed_rows(lines: Iterable[Any], tokens: Iterable[int], explain: Any) -> Iterable[dict[str, Any]]:
    """The printed form of parsed lines; a continuation belongs to the line before it."""
    from detector.stages.judge.alerts import rfc3339  # noqa: PLC0415

    for line, token in zip(lines, tokens, strict=True):
        if line.continuation:
            continue
        template_id, template = explain.template(token) if token else (None, None)
        yield {
            "position": line.position,
            "time": rfc3339(line.time_us),
            "level": line.level or None,
            "source": line.source,
            "template_id": template_id,
            "template": template,
            "parameters": explain.parameters(line.message, token) if token else [],
        }


def write_rows(rows: Iterable[object]) -> None:
    """One JSON object a line on standard output."""
    encode = msgspec.json.encode
    sys.stdout.buffer.writelines(encode(row) + b"\n" for row in rows)
