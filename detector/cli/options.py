"""The options that read input, the same for every command. Imports nothing heavy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, Token, validators

STDIN, STDIN_WORD = "-", "/dev/stdin"  # `-` alone is an option to cyclopts: `run` writes the other word


def _inputs(_: object, tokens: Sequence[Token]) -> list[str]:
    """The arguments as they were meant."""
    return [STDIN if token.value == STDIN_WORD else token.value for token in tokens]


Inputs = Annotated[
    list[str],
    Parameter(
        help="File, folder, glob, or - for standard input; .gz and .zst as what they hold.",
        converter=_inputs,
        n_tokens=-1,
    ),
]
BundleDir = Annotated[Path | None, Parameter(name="--bundle", help="Directory that training wrote.")]
ConfigFile = Annotated[
    Path | None, Parameter(name="--config", help="TOML file; else tailrace.toml where there is one.")
]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class InputOptions:
    """How lines are read; what is not given is as the bundle was trained."""

    parser: Annotated[
        Literal["auto", "exact"] | None,
        Parameter(help="exact: the line, or --event-field, is the event itself."),
    ] = None
    source_field: Annotated[
        tuple[str, ...],
        Parameter(help="Field that names the source, dotted; several are joined.", negative=()),
    ] = ()
    source_regex: Annotated[
        str | None, Parameter(help="Names the source from the line: group 1, else the whole match.")
    ] = None
    session: Annotated[
        bool | None, Parameter(help="A source is a short life that ends: a block, request or job.")
    ] = None
    idle_timeout: Annotated[
        float | None,
        Parameter(
            help="Seconds of event time without a line after which a source has ended.",
            validator=validators.Number(gt=0),
        ),
    ] = None
    event_field: Annotated[str | None, Parameter(help="Field that is the event token (--parser exact).")] = (
        None
    )
    sequence_rows: Annotated[
        bool | None, Parameter(help="Rows are ready sequences: id,token token ... (--parser exact).")
    ] = None

    rotated: Annotated[
        Literal["joined", "separate"] | None,
        Parameter(
            help="joined: app.log.1 and app.log are one source, read oldest first (fit, replay, parse)."
        ),
    ] = None

    def settings(self) -> dict[str, object]:
        """What was said, under the names of the bundle's input settings."""
        said: dict[str, object] = {
            "parser": self.parser,
            "source_fields": list(self.source_field) or None,
            "source_regex": self.source_regex,
            "session": self.session,
            "idle_timeout_s": self.idle_timeout,
            "event_field": self.event_field,
            "sequence_rows": self.sequence_rows,
            "rotated": self.rotated,
        }
        return {name: value for name, value in said.items() if value is not None}
