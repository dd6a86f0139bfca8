"""The rights on Kafka that docs/kafka.md gives to a user. Reads that page."""

import re
from pathlib import Path

from tests.servers.kafka_guarded import Right

DOCS = Path(__file__).parent.parent / "docs" / "kafka.md"
RESOURCES = ("topic", "group", "transactional-id")


def documented() -> list[Right]:
    """Every right that its commands give, each operation by itself."""
    commands = re.findall(r"^allow (.*)$", DOCS.read_text(), re.MULTILINE)
    return [right for command in commands for right in _rights(command.split())]


def _rights(words: list[str]) -> list[Right]:
    options = list(zip(words[::2], words[1::2], strict=True))
    given = {option.removeprefix("--"): value for option, value in options}
    (resource,) = given.keys() & set(RESOURCES)
    pattern = given.get("resource-pattern-type", "literal")
    operations = [value for option, value in options if option == "--operation"]
    return [Right(operation, resource, given[resource], pattern) for operation in operations]
