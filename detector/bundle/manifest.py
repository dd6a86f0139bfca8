"""What a bundle is and how its lines are read. No I/O."""

import hashlib
from typing import Any

import msgspec

SCHEMA_VERSION = 4


class InputSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How lines were read in training; serving reads them alike unless told otherwise."""

    parser: str = "auto"  # auto | exact
    envelope: str = "auto"
    source_fields: list[str] = []
    source_regex: str | None = None
    session: bool = False
    idle_timeout_s: float | None = None
    event_field: str | None = None
    sequence_rows: bool = False
    message_field: str | None = None
    time_field: str | None = None
    level_field: str | None = None
    trace_field: str | None = None
    trace_regex: str | None = None
    timezone: str | None = None
    first_line_regex: str | None = None
    unheaded_continues: bool = True  # a line without the learnt header continues the one before
    rotated: str = "joined"  # joined | separate: files that rotation made of one log are one source, or not


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bundle is, what it was made from, and the digest of every other file."""

    schema_version: int
    created: str
    versions: dict[str, str]
    data: dict[str, Any]
    model: dict[str, Any]
    input: InputSettings
    files: dict[str, str]  # name -> SHA-256


def identity(manifest: Manifest) -> str:
    """The bundle's id: a digest of everything but when it was made; the same data gives the same id."""
    content = msgspec.json.encode(msgspec.structs.replace(manifest, created=""))
    return hashlib.sha256(content).hexdigest()[:12]
