"""`tailrace shards`: what every shard has come to. Talks to Kafka and Redis, reads environment and clock."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from detector.cli.options import ConfigFile, Format
from detector.cli.servers import settings_of
from detector.cli.tables import print_table
from detector.errors import BadSetup
from detector.words import counted, duration

if TYPE_CHECKING:
    from detector.config import Settings
    from detector.distributed.overview import ShardSeen
    from detector.store.redis.nodes import Nodes

ShardName = Annotated[str, Parameter(name="SHARD", help="As `tailrace shards` prints it.")]
Yes = Annotated[
    bool,
    Parameter(name="--yes", negative=(), show_default=False, help="Do it; otherwise it is only said."),
]

app = App(name="shards", sort_key=10)


@app.default
def show(*, output: Format = "text", config: ConfigFile = None) -> None:
    """Show how far every partition is, who reads it, and how long until retention takes what is unread.

    Example: tailrace shards --config tailrace.toml

    Raises:
        BadSetup: no Kafka or no Redis is configured.
        Unavailable: Kafka or Redis cannot be reached.
    """
    from detector.cli.start import warn  # noqa: PLC0415  # heavy: --help need not wait
    from detector.distributed.overview import overview  # noqa: PLC0415

    with _opened(config) as (settings, nodes):
        found = overview(settings, nodes, time.time())
    for topic in found.missing:
        warn(f"there is no topic {topic}; `tailrace topics show` says what is needed")
    if output == "json":
        sys.stdout.buffer.writelines(msgspec.json.encode(shard) + b"\n" for shard in found.shards)
    else:
        print_table(_COLUMNS, found.shards, lambda shard: shard.stopped is not None or shard.lost > 0)


@app.command(name="reset")
def reset(shard: ShardName, /, *, yes: Yes = False, config: ConfigFile = None) -> None:
    """Begin a partition anew: remove its fence, states and alerts; it is then read as input.start says.

    One of the routed topic is read from its start: what lies there was routed and is not judged.

    Stop the worker that has it first: otherwise that is refused at its next commit, and begins it anew. One
    of a topic that is routed is reset only while no worker runs.

    Example: tailrace shards reset logs-3 --yes

    Raises:
        BadSetup: nothing of such a partition is kept, a worker runs, or no Redis is configured.
        Unavailable: Redis cannot be reached.
    """
    with _opened(config) as (settings, nodes):
        if not settings.input.keyed and shard.rpartition("-")[0] in settings.kafka.topics:
            said = _reset_routing(settings, nodes, shard, yes=yes)
        else:
            said = _reset_states(settings, nodes, shard, yes=yes)
    sys.stderr.write(f"{shard}: {said}\n")


@app.command(name="confirm")
def confirm(*, config: ConfigFile = None) -> None:
    """Accept the number of partitions that the topics have now, so that the worker goes on.

    Sources whose keys went to another partition begin anew there. New partitions are read from their start.

    Example: tailrace shards confirm --config tailrace.toml

    Raises:
        BadSetup: a topic is not there, or no Kafka or no Redis is configured.
        Unavailable: Kafka or Redis cannot be reached.
    """
    from detector.distributed import counts  # noqa: PLC0415  # heavy: --help need not wait
    from detector.distributed.topics import scored  # noqa: PLC0415
    from detector.inputs.kafka.asking import partitions  # noqa: PLC0415
    from detector.inputs.kafka.connection import connection_at  # noqa: PLC0415

    with _opened(config) as (settings, nodes):
        names = scored(settings)
        found = partitions(connection_at(settings.kafka), names)
        if missing := [name for name in names if name not in found]:
            raise BadSetup(f"there is no topic {' and no topic '.join(missing)}; see `tailrace topics show`")
        before = counts.confirm(nodes, settings.redis.key_prefix, found)
    for topic, count in found.items():
        was = "not begun" if before[topic] is None else f"was {before[topic]}"
        sys.stdout.write(f"{topic}\t{counted(count, 'partition')}\t{was}\n")


def _reset_states(settings: "Settings", nodes: "Nodes", shard: str, *, yes: bool) -> str:
    from detector.distributed.trials import RESET  # noqa: PLC0415  # heavy: --help need not wait
    from detector.store.redis.keys import TOPIC_PARTS  # noqa: PLC0415
    from detector.store.redis.written import leave_mark, remove, written  # noqa: PLC0415

    every = [one for one in written(nodes, settings.redis.key_prefix) if one.part not in TOPIC_PARTS]
    keys = [one for one in every if one.shard == shard]
    if not keys:
        raise BadSetup(f"nothing is kept of {shard}: {_known(one.shard for one in every)}")
    # The fence goes first: no worker takes up the rest of what a reset that was cut off has left.
    for one in sorted(keys, key=lambda one: one.part != "fence") if yes else ():
        remove(nodes, one)
    if yes:
        leave_mark(nodes, settings.redis.key_prefix, shard, RESET)
    count = counted(len(keys), "key")
    return (
        f"{count} removed; it begins anew at {_start(settings, shard)}"
        if yes
        else f"{count}; --yes removes them, to begin at {_start(settings, shard)}"
    )


def _start(settings: "Settings", shard: str) -> str:
    """Where a shard without a fence is begun."""
    is_routed = not settings.input.keyed and shard.rpartition("-")[0] == settings.kafka.routed_topic
    return "its start" if is_routed else f"{settings.input.start} (input.start)"


def _reset_routing(settings: "Settings", nodes: "Nodes", shard: str, *, yes: bool) -> str:
    from detector.distributed.feed import start_of  # noqa: PLC0415  # heavy: --help need not wait
    from detector.distributed.topics import router_group  # noqa: PLC0415
    from detector.inputs.kafka import asking  # noqa: PLC0415
    from detector.inputs.kafka.connection import connection_at  # noqa: PLC0415
    from detector.inputs.kafka.feed import Shard  # noqa: PLC0415
    from detector.store.redis.written import clear_mark  # noqa: PLC0415

    connection, (topic, _, number) = connection_at(settings.kafka), shard.rpartition("-")
    count = asking.partitions(connection, [topic]).get(topic, 0)
    if not number.isdigit() or int(number) >= count:
        raise BadSetup(f"there is no partition {shard}: topic {topic} has {count}")
    if not yes:
        return f"--yes lets its lines be routed from {settings.input.start} on (input.start)"
    # The worker routes by the offset that it has, not by the group's, and commits its own over ours.
    if members := asking.group(connection, settings.kafka.group).members:
        raise BadSetup(
            f"{counted(members, 'worker')} of the group {settings.kafka.group} would go on from where they "
            "are: stop them, then reset"
        )
    group, one = router_group(settings.kafka), Shard(topic, int(number))
    clear_mark(nodes, settings.redis.key_prefix, shard)  # it is about the offsets of before
    offset = asking.begin_anew(connection, group, one, start_of(settings))
    return f"its lines are routed from offset {offset} on (input.start)"


@contextmanager
def _opened(config: Path | None) -> "Iterator[tuple[Settings, Nodes]]":
    """The configuration, and the Redis that it names."""
    from detector.store.redis.connect import nodes_at  # noqa: PLC0415

    settings = settings_of(config)
    with closing(nodes_at(settings.redis)) as nodes:
        yield settings, nodes


def _known(shards: Iterable[str]) -> str:
    names = sorted(set(shards))
    return f"there are {', '.join(names)}" if names else "there is nothing under the key prefix"


def _state(shard: "ShardSeen") -> str:
    if shard.stopped is not None:
        return f"stopped: {shard.stopped}"
    if shard.fence is None:
        return "not begun"
    if shard.lost:
        return f"retention has taken {counted(shard.lost, 'offset')} that nobody read"
    return "read" if shard.owner is not None else "nobody reads it"


def _owner(shard: "ShardSeen") -> str:
    """Who reads it: the client of every worker has one name, its member id tells them apart."""
    owner = shard.owner
    if owner is None:
        return "-"
    own = owner.member.removeprefix(f"{owner.client}-")
    return f"{owner.client}-{own[:8]}@{owner.host}"


_COLUMNS: "list[tuple[str, Callable[[ShardSeen], str]]]" = [
    ("SHARD", lambda shard: shard.shard),
    ("DOES", lambda shard: shard.does),
    ("FENCE", lambda shard: "-" if shard.fence is None else str(shard.fence)),
    ("LOG", lambda shard: f"{shard.log_start}..{shard.log_end}"),
    ("LAG", lambda shard: "-" if shard.lag is None else str(shard.lag)),
    ("HEADROOM", lambda shard: "-" if shard.headroom is None else str(shard.headroom)),
    ("TAKEN IN", lambda shard: "-" if shard.headroom_s is None else duration(shard.headroom_s)),
    ("OWNER", _owner),
    ("STATE", _state),
]
