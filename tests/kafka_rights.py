"""Users of a guarded broker, with the rights that docs/kafka.md gives. Reads that page; starts Java."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import topics
from tests.servers.kafka_guarded import Guarded, Right, allow, guarded

DOCS = Path(__file__).parent.parent / "docs" / "kafka.md"
RESOURCES = ("topic", "group", "transactional-id")
WORKER = "worker"


def documented() -> dict[str, list[Right]]:
    """Every right that its commands give, each operation by itself, by what it is for."""
    found: dict[str, list[Right]] = defaultdict(list)
    purpose = WORKER
    for line in DOCS.read_text().splitlines():
        if line.startswith("# tailrace "):
            purpose = line.removeprefix("# tailrace ").partition(",")[0]
        elif line.startswith("allow "):
            found[purpose] += _rights(line.split()[1:])
    return found


def _rights(words: list[str]) -> list[Right]:
    options = list(zip(words[::2], words[1::2], strict=True))
    given = {option.removeprefix("--"): value for option, value in options}
    (resource,) = given.keys() & set(RESOURCES)
    pattern = given.get("resource-pattern-type", "literal")
    operations = [value for option, value in options if option == "--operation"]
    return [Right(operation, resource, given[resource], pattern) for operation in operations]


_DOCUMENTED = documented()
RIGHTS = _DOCUMENTED.pop(WORKER)
COMMANDS = _DOCUMENTED  # the rights of each
# Whose right to read what is taken away, and what the broker then refuses first.
DISMISSED = [f"dismissed-{what}-{first}" for what in ("topic", "group") for first in ("metadata", "fetch")]
LINES = [b"line %d" % number for number in range(100)]  # of the topic `logs`


def without(right: Right) -> str:
    """The user who has every right but one."""
    return f"without-{RIGHTS.index(right)}"


def operator(command: str, missing: Right | None = None) -> str:
    """The user who has the rights of a command, or all but one of them."""
    end = "" if missing is None else f"-{COMMANDS[command].index(missing)}"
    return f"ops-{command.replace(' ', '-')}{end}"


def names_of(user: str) -> str:
    """What stands in place of `tailrace` in the names of an operator's topics and groups.

    They are not the worker's, which other tests read and write, nor those that another has made.
    """
    return user if user.startswith("ops-topics-create") else "ops"


def _operators() -> dict[str, list[Right]]:
    """The rights of each, for topics and groups of their own."""
    found: dict[str, list[Right]] = {}
    for command, rights in COMMANDS.items():
        for missing in (None, *rights):
            user = operator(command, missing)
            given = [right for right in rights if right != missing]
            found[user] = [one._replace(name=one.name.replace("tailrace", names_of(user))) for one in given]
    return found


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
    rights |= _operators()
    passwords = {user: password_of(user) for user in rights if "=" not in user}
    with guarded(folder, passwords) as broker:
        for topic in sorted({right.name for right in RIGHTS if right.resource == "topic"}):
            for name in {topic, topic.replace("tailrace", "ops")}:
                topics.create(broker.broker.address, name)
        topics.produce(broker.broker.address, "logs", LINES)
        allow(broker.broker.address, rights)
        yield broker
