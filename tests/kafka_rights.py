"""Users of a guarded broker, with the rights that docs/kafka.md gives. Reads that page; starts Java."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import topics
from tests.servers.kafka_guarded import Guarded, Right, allow, guarded

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


RIGHTS = documented()
# Whose right to read what is taken away, and what the broker then refuses first.
DISMISSED = [f"dismissed-{what}-{first}" for what in ("topic", "group") for first in ("metadata", "fetch")]
LINES = [b"line %d" % number for number in range(100)]  # of the topic `logs`


def without(right: Right) -> str:
    """The user who has every right but one."""
    return f"without-{RIGHTS.index(right)}"


def password_of(user: str) -> str:
    """What a user logs in with."""
    return f"horse-of-{user}"


@contextmanager
def guarded_with_users(folder: Path) -> Iterator[Guarded]:
    """A broker with the documented topics, and every user with a login and rights."""
    rights = {without(right): [other for other in RIGHTS if other != right] for right in RIGHTS}
    dismissed = [
        f"dismissed-{what}-{first}" for what in ("topic", "group") for first in ("metadata", "fetch")
    ]
    rights |= dict.fromkeys(["tailrace", "CN=server", *dismissed], RIGHTS)
    rights["reader"] = [right for right in RIGHTS if right.operation == "READ"]
    rights["reader"].append(Right("DESCRIBE", "topic", "tailrace-scores"))
    passwords = {user: password_of(user) for user in rights if "=" not in user}
    with guarded(folder, passwords) as broker:
        for topic in sorted({right.name for right in RIGHTS if right.resource == "topic"}):
            topics.create(broker.broker.address, topic)
        topics.produce(broker.broker.address, "logs", LINES)
        allow(broker.broker.address, rights)
        yield broker
