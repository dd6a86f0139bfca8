"""The Lua scripts: read from the package, and run once per call. Talks to Redis."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from redis import exceptions

from detector.errors import BadSetup, Unavailable
from detector.store.redis.nodes import Nodes

COMMIT = "commit"
DELIVERIES = "deliveries"
LETTERS = "letters"


class Script(NamedTuple):
    """A script, and the digest by which Redis knows it."""

    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """One of the scripts, with what they share before it."""
    folder = resources.files(__package__)
    # The first line makes Redis check before the start what it may refuse a write for: memory, disk, role.
    parts = ["#!lua", *((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("outbox", name))]
    text = "\n".join(parts)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def run(
    nodes: Nodes, name: str, keys: Sequence[str], args: Sequence[bytes], lost: type[Unavailable] = Unavailable
) -> list[Any]:
    """Run a script where its keys are; what it returns begins with a word.

    Raises:
        Unavailable: it was not run; of the kind `lost` where that is not known.
        BadSetup: a key is not ours, or the user may not use it; nothing was written.
    """
    text, digest = script(name)
    try:
        reply = nodes.ask(keys[0], "EVALSHA", digest, len(keys), *keys, *args, lost=lost)
    except exceptions.NoScriptError:  # it was not run: the server has restarted, or is another one
        reply = nodes.ask(keys[0], "EVAL", text, len(keys), *keys, *args, lost=lost)
    if reply[0] == b"broken":
        raise BadSetup(f"redis: {reply[1].decode()}; nothing was written")
    return list(reply)
