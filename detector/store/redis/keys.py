"""Every key in Redis that the product writes. No I/O.

`{PREFIX:SHARD}:PART`: what stands in braces decides the slot of a cluster, so that one script can write
a whole shard. Nothing has a time to live.

    fence      hash    number and id of the last commit, bundle, fence, memory, counters
    states     hash    source -> state
    due        zset    source by the time at which the clock alone changes something about it
    letters    hash    number -> dead letter: a record that could not be judged
    outbox     hash    place in the outbox -> alert, revision, status, payload
    alerts     hash    alert -> its highest revision and its places in the outbox
    receivers  hash    name -> who gets revisions, and how many may wait

and for every receiver, with its name at the end:

    deliveries hash    place -> state, attempts, when it is due, error
    ready      zset    places that may be sent, by when they are due: of each alert the lowest that waits
    waiting    zset    every place that waits, in order
    overtaken  set     alerts in which one that has failed waits before a newer one, until that was looked at

and for every topic, with its name in place of the shard's:

    partitions hash    how many it has, and how many it had when it was begun
    samples    hash    partition -> hashes of some of its sources
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

SHARD_PARTS = ("fence", "states", "due", "letters", "outbox", "alerts", "receivers")
RECEIVER_PARTS = ("deliveries", "ready", "waiting", "overtaken")
TOPIC_PARTS = ("partitions", "samples")


def key(prefix: str, shard: str, part: str, receiver: str = "") -> str:
    """The key of one part of a shard."""
    end = f":{receiver}" if receiver else ""
    # A brace in the name of a shard would end the hash tag.
    return f"{{{prefix}:{quote(shard, safe='/')}}}:{part}{end}"


def keys(prefix: str, shard: str, receivers: Iterable[str]) -> list[str]:
    """All keys of a shard, in the order in which the scripts number them."""
    of_receivers = [key(prefix, shard, part, name) for name in receivers for part in RECEIVER_PARTS]
    return [*(key(prefix, shard, part) for part in SHARD_PARTS), *of_receivers]


def pattern(prefix: str) -> str:
    """What SCAN finds the product's keys by; a prefix has no character that means something in it."""
    return f"{{{prefix}:*}}:*"


def shard_and_part(prefix: str, name: str) -> tuple[str, str] | None:
    """The shard and the part that a key belongs to; None where it is somebody else's."""
    parts = rf"(?:({'|'.join(SHARD_PARTS + TOPIC_PARTS)})|({'|'.join(RECEIVER_PARTS)}):.+)"
    found = re.fullmatch(rf"\{{{re.escape(prefix)}:([^{{}}]+)\}}:{parts}", name)
    return None if found is None else (unquote(found[1]), found[2] or found[3])
