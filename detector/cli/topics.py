"""`tailrace topics`: the topics and groups that the worker needs. Talks to Kafka, reads the environment."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

from detector.cli.options import ConfigFile, Format
from detector.cli.servers import settings_of
from detector.cli.tables import print_table
from detector.errors import BadSetup
from detector.words import counted, duration

if TYPE_CHECKING:
    from detector.config import Settings
    from detector.distributed.topics import Needed
    from detector.inputs.kafka.asking import Cluster, Topic
    from detector.inputs.kafka.connection import Connection

Partitions = Annotated[
    int | None,
    Parameter(
        help="Of each topic; else as many as the topics with the lines have together.",
        validator=Number(gte=1),
    ),
]
Replication = Annotated[
    int | None, Parameter(help="Copies of each; else three, or one a broker.", validator=Number(gte=1))
]

app = App(name="topics", sort_key=11, help="Show the topics and groups that the worker needs; make its own.")


class Row(msgspec.Struct, frozen=True, tag_field="schema", tag="tailrace.topic/1"):
    """A topic or a group, and what is wrong with it."""

    name: str
    kind: Literal["topic", "group"]
    use: str
    exists: bool
    faults: list[str]
    partitions: int | None = None  # of a topic that is there, as all of these
    replication: int | None = None
    min_insync: int | None = None
    cleanup: str | None = None
    retention_s: float | None = None  # None: for ever, or not known
    members: int | None = None  # of a group


@app.command(name="show")
def show(*, output: Format = "text", config: ConfigFile = None) -> None:
    """Show each topic and group that the worker needs, and what is wrong with it.

    Example: tailrace topics show --config tailrace.toml

    Raises:
        BadSetup: no Kafka is configured, or a right is missing.
        Unavailable: it cannot be reached.
    """
    rows = list(_rows(*_asked(config)))
    if output == "json":
        sys.stdout.buffer.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
    else:
        print_table(_COLUMNS, rows, lambda row: not row.exists and row.kind == "topic")


@app.command(name="create")
def create(
    *, partitions: Partitions = None, replication: Replication = None, config: ConfigFile = None
) -> None:
    """Make the missing ones of the worker's own topics; never one that holds your lines.

    Example: tailrace topics create --partitions 12 --replication 3

    Raises:
        BadSetup: no Kafka is configured, a right is missing, the brokers refuse, or there is no topic to tell
            the number of partitions by.
        Unavailable: it cannot be reached.
    """
    from detector.distributed.topics import plan  # noqa: PLC0415  # heavy: --help need not wait
    from detector.inputs.kafka.asking import make  # noqa: PLC0415

    _, connection, needed, found = _asked(config)
    lines = _lines(needed, found)
    missing = [one.name for one in needed if not one.is_ours and one.name not in lines]
    if missing and partitions is None:
        raise BadSetup(
            f"there is no topic {' and no topic '.join(missing)} to hold lines: create it, correct its name, "
            "or give --partitions"
        )
    for one in needed:
        if one.name in found.topics:
            sys.stdout.write(f"{one.name}\tis there\n")
        elif one.is_ours:
            planned = plan(found, lines, partitions, replication)
            is_made = make(
                connection,
                one.name,
                partitions=planned.partitions,
                replication=planned.replication,
                settings=planned.settings,
            )
            width = f"{counted(planned.partitions, 'partition')}, replication {planned.replication}"
            sys.stdout.write(f"{one.name}\t{f'made: {width}' if is_made else 'is there'}\n")


def _asked(config: ConfigFile) -> "tuple[Settings, Connection, list[Needed], Cluster]":
    from detector.distributed.topics import needed  # noqa: PLC0415
    from detector.inputs.kafka.asking import cluster  # noqa: PLC0415
    from detector.inputs.kafka.connection import connection_at  # noqa: PLC0415

    settings = settings_of(config)
    connection, wanted = connection_at(settings.kafka), needed(settings)
    return settings, connection, wanted, cluster(connection, [one.name for one in wanted])


def _lines(needed: "list[Needed]", found: "Cluster") -> "dict[str, Topic]":
    names = [one.name for one in needed if not one.is_ours]
    return {name: found.topics[name] for name in names if name in found.topics}


def _rows(
    settings: "Settings", connection: "Connection", needed: "list[Needed]", found: "Cluster"
) -> Iterator[Row]:
    from detector.distributed.topics import faults, groups  # noqa: PLC0415
    from detector.inputs.kafka.asking import group  # noqa: PLC0415

    lines = _lines(needed, found)
    for one in needed:
        topic = found.topics.get(one.name)
        wrong = list(faults(one, topic, found.brokers, lines))
        yield (
            Row(one.name, "topic", one.use, False, wrong) if topic is None else _there(topic, one.use, wrong)
        )
    for name, does in groups(settings).items():
        seen = group(connection, name)
        wrong = [] if seen.members or name != settings.kafka.group else ["has no member: no worker runs"]
        yield Row(name, "group", does, seen.state != "Dead", wrong, members=seen.members)


def _there(topic: "Topic", use: str, faults: list[str]) -> Row:
    from detector.distributed.topics import retention_ms  # noqa: PLC0415

    in_sync, kept_ms = topic.settings.get("min.insync.replicas"), retention_ms(topic)
    return Row(
        name=topic.name,
        kind="topic",
        use=use,
        exists=True,
        faults=faults,
        partitions=topic.partitions,
        replication=topic.replication,
        min_insync=None if in_sync is None else int(in_sync),
        cleanup=topic.settings.get("cleanup.policy"),
        retention_s=None if kept_ms is None else kept_ms / 1000,
    )


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _kept(row: Row) -> str:
    if row.cleanup is None:
        return "-"
    return f"{row.cleanup} {'for ever' if row.retention_s is None else duration(row.retention_s)}"


_COLUMNS: list[tuple[str, Callable[[Row], str]]] = [
    ("NAME", lambda row: row.name),
    ("KIND", lambda row: row.kind),
    ("FOR", lambda row: row.use),
    ("PARTITIONS", lambda row: _number(row.partitions)),
    ("REPLICATION", lambda row: _number(row.replication)),
    ("MIN IN SYNC", lambda row: _number(row.min_insync)),
    ("KEPT", _kept),
    ("MEMBERS", lambda row: _number(row.members)),
    ("WRONG", lambda row: "; ".join(row.faults) or "nothing"),
]
