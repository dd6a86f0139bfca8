"""How an option is declared, with what it means. No I/O."""

from pydantic import ConfigDict, Field
from pydantic.fields import FieldInfo

CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)
BUNDLE = "the bundle's"


def say(meaning: str, unset: str = "") -> FieldInfo:
    """An option's meaning, and in a few words what holds while it is not set."""
    field: FieldInfo = Field(description=meaning, json_schema_extra={"unset": unset})
    return field
