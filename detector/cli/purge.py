"""`tailrace purge`: list and remove what the worker wrote to Redis. Talks to Redis, reads the environment."""

import os
import sys
from collections import defaultdict
from contextlib import closing
from typing import Annotated

from cyclopts import Parameter

from detector.cli.options import ConfigFile
from detector.words import counted

Yes = Annotated[
    bool,
    Parameter(name="--yes", negative=(), show_default=False, help="Remove it; otherwise it is only listed."),
]


def purge(*, yes: Yes = False, config: ConfigFile = None) -> None:
    """List what `tailrace worker` has written to Redis, by partition, and remove it with --yes.

    Stop the workers first: one that runs is refused at its next commit and ends.
    Keys under another prefix, and keys of others, are left alone.

    Example: tailrace purge --config tailrace.toml

    Raises:
        BadSetup: no Redis is configured.
        Unavailable: it cannot be reached.
    """
    from detector.config import load  # noqa: PLC0415  # slow to import, and --help need not wait
    from detector.store.redis.connect import nodes_at  # noqa: PLC0415
    from detector.store.redis.written import remove, written  # noqa: PLC0415

    settings = load(config, os.environ).redis
    with closing(nodes_at(settings)) as nodes:
        shards = defaultdict(list)
        for one in written(nodes, settings.key_prefix):
            shards[one.shard].append(one)
        for shard, its in sorted(shards.items()):
            sys.stdout.write(f"{shard}\t{counted(len(its), 'key')}\n")
            # The fence goes first: no worker takes up the rest of what a purge that was cut off has left.
            for one in sorted(its, key=lambda one: one.part != "fence") if yes else ():
                remove(nodes, one)
    done = "removed" if yes else "found; --yes removes them"
    keys, partitions = counted(sum(map(len, shards.values())), "key"), counted(len(shards), "partition")
    sys.stderr.write(f"{keys} of {partitions} under {settings.key_prefix} {done}\n")
