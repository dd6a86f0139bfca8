"""The options that read input, the same for every command. Imports nothing heavy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter, Token, validators

STDIN, STDIN_WORD = "-", "/dev/stdin"  # `-` alone is an option to cyclopts: `run` writes the other word


def _inputs(_: object, tokens: Sequence[Token]) -> list[str]:
    """The arguments as they were meant."""
    return [STDIN if token.value == STDIN_WORD else token.value for token in tokens]


Inputs = Annotated[
    list[str],
    Parameter(
        help="Files, folders, globs, - for standard input, or kafka://TOPIC; .gz and .zst are unpacked.",
        converter=_inputs,
        n_tokens=-1,
    ),
]
BundleDir = Annotated[
    Path | None, Parameter(name="--bundle", help="Bundle: the directory that `tailrace-train fit` wrote.")
]
Directory = Annotated[Path | None, Parameter(name="DIR", help="The bundle; the same as --bundle.")]
ConfigFile = Annotated[
    Path | None,
    Parameter(name="--config", help="Configuration in TOML; else tailrace.toml of this folder, if there."),
]
StateOfAlerts = Annotated[
    Path | None,
    Parameter(name="--state", help="State file of `tailrace watch`; else path of [state], else Redis."),
]
Format = Annotated[
    Literal["text", "json"], Parameter(name="--format", help="text for people, json for programs.")
]

_READING = Group(
    "How lines are read", "With a bundle, what is not given is as it was in training.", sort_key=2
)


@Parameter(name="*", group=_READING)
@dataclass(frozen=True, slots=True)
class InputOptions:
    """How lines are read; what is not given is as the bundle was trained."""

    source_field: Annotated[
        tuple[str, ...],
        Parameter(
            help="JSON field that names the source (a.b.c); repeat it to join several.",
            negative=(),
            show_default=False,
        ),
    ] = ()
    source_regex: Annotated[
        str | None,
        Parameter(help="Regular expression that finds the source's name in a line: group 1, or all of it."),
    ] = None
    session: Annotated[
        bool | None, Parameter(help="A source is a short life that ends: a block, request or job.")
    ] = None
    idle_timeout: Annotated[
        float | None,
        Parameter(
            help="Seconds without a line, by the lines' own times, after which a source has ended.",
            validator=validators.Number(gt=0),
        ),
    ] = None
    parser: Annotated[
        Literal["auto", "exact"] | None,
        Parameter(help="auto finds templates; exact takes the line, or --event-field, as the event itself."),
    ] = None
    event_field: Annotated[
        str | None, Parameter(help="JSON field that is the event (with --parser exact).")
    ] = None
    sequence_rows: Annotated[
        bool | None,
        Parameter(help="Rows are whole sequences: id,event event ... (with --parser exact)."),
    ] = None
    trace_field: Annotated[
        str | None,
        Parameter(help="JSON field of the id of a request, whose steps fit learns to time."),
    ] = None
    trace_regex: Annotated[
        str | None,
        Parameter(help="Regular expression that finds that id in a line: group 1, or all of it."),
    ] = None
    rotated: Annotated[
        Literal["joined", "separate"] | None,
        Parameter(help="joined: files that rotation made of one log are one source; not for watch."),
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
            "trace_field": self.trace_field,
            "trace_regex": self.trace_regex,
            "rotated": self.rotated,
        }
        return {name: value for name, value in said.items() if value is not None}
