"""Which source and which request a line belongs to: by a regular expression, fields, or its envelope. Pure.

With sessions a line that names none has no source (""), and is left out of scoring; otherwise it belongs to
what its envelope names, and in the end to its origin.
"""

import re

SOURCE_CHARACTERS = 200  # longest name of a source
TRACE_CHARACTERS = 100  # longest id of a request
SEARCHED_BYTES = 8_192  # of a line, for the regular expression

# What an object offers, best first; the parts of one choice are joined with "/", and its first must be there.
# A part is a list of names for the same thing.
DEFAULT_SOURCES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("service.name", "resource.service.name"), ("host.name", "host.hostname", "_HOSTNAME")),
    (
        ("kubernetes.pod_name", "kubernetes.pod.name"),
        ("kubernetes.namespace_name", "kubernetes.namespace"),
        ("kubernetes.container_name", "kubernetes.container.name"),
    ),
    (("_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER"), ("_HOSTNAME",)),
    (("container_name", "container.name", "container_id", "container.id"),),
    (("appname", "app_name"), ("hostname", "host", "host.name")),
    (("host.name", "host.hostname", "hostname", "host", "_HOSTNAME"),),
)
FILE_PATH = "log.file.path"  # of an object that offers none of these


def found_in(pattern: re.Pattern[bytes], text: bytes) -> str:
    """Group 1 of the first match, else the whole match; empty without one."""
    match = pattern.search(text, 0, SEARCHED_BYTES)
    if match is None:
        return ""
    return clean(
        (match[1] if pattern.groups and match[1] is not None else match[0]).decode("utf-8", "replace")
    )


def trace_name(text: str) -> str:
    """The id of a request; empty where the text is what is written for none: a dash, or zeros alone."""
    return clean(text[:TRACE_CHARACTERS]) if text.strip("0-") else ""


def joined(parts: list[str]) -> str:
    """A source's name of its parts; those that are empty are left out."""
    return clean("/".join([part for part in parts if part]))


def clean(name: str) -> str:
    """The name with a bound, and nothing in it that a terminal or a key would trip over."""
    name = name[:SOURCE_CHARACTERS]
    if name.isprintable():
        return name
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name
    )
