"""How records are read: every choice and bound of the decode stage. No I/O."""

import re
from typing import Literal

import msgspec

from detector.errors import BadSetup

MICROSECONDS = 1_000_000


class DecodeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user may say about the input; the defaults read what is found."""

    envelope: Literal["auto", "text", "json", "syslog", "otlp_proto"] = "auto"
    session: bool = False  # a line that names no source is left out of scoring
    source_fields: tuple[str, ...] = ()  # dotted; their values are joined with "/"
    source_regex: str | None = None  # over the line or message: group 1, else the whole match
    first_line: str | None = None  # a line it is not found in continues the one before
    unheaded_continues: bool = True  # a line without a header continues one with; not where many have none
    message_field: str | None = None
    time_field: str | None = None
    level_field: str | None = None
    trace_field: str | None = None
    trace_regex: str | None = None  # over the line or message, where no field names a trace
    event_field: str | None = None  # the field that is the event token
    max_line_bytes: int = 1 << 20
    max_future_s: float = 3_600.0  # a stamp further from the clock must be confirmed before it moves it
    max_pause_s: float = 2_592_000.0  # until then a stamp still further from it counts for nothing
    max_continuations: int = 200  # in a row, frames of a stack apart; a change of format must not blind us
    max_reject_bytes: int = 1_024  # of a record that is put aside
    max_origins: int = 1_000  # remembered; the one unseen for longest is forgotten

    @property
    def names_sessions(self) -> bool:
        """Whether a line belongs to a session only if it names it."""
        return self.session and (bool(self.source_fields) or self.source_regex is not None)

    @property
    def max_future_us(self) -> int:
        """`max_future_s` in microseconds."""
        return int(self.max_future_s * MICROSECONDS)

    @property
    def max_pause_us(self) -> int:
        """`max_pause_s` in microseconds."""
        return int(self.max_pause_s * MICROSECONDS)


def compiled(name: str, expression: str | None) -> re.Pattern[bytes] | None:
    """The regular expression of the setting `name`, for bytes.

    Raises:
        BadSetup: it is not one.
    """
    if expression is None:
        return None
    try:
        return re.compile(expression.encode())
    except re.error as error:
        raise BadSetup(f"{name} = {expression!r} is no regular expression: {error}") from error
