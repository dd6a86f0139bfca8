"""`tailrace dead-letters`: what the worker could not judge. Talks to Redis and Kafka."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from detector.cli.options import ConfigFile, Format
from detector.records import DeadLetter

if TYPE_CHECKING:
    from detector.store.redis.letters import Letters

HEAD_BYTES = 200  # of a value that is shown

app = App(name="dead-letters", sort_key=9, help="List or send again the records that could not be judged.")


@app.command(name="list")
def list_letters(*, output: Format = "text", config: ConfigFile = None) -> None:
    """List the records that `tailrace worker` has put aside, those of each partition in their order.

    Example: tailrace dead-letters list --config tailrace.toml

    Raises:
        BadSetup: no Redis is configured.
        Unavailable: it cannot be reached.
    """
    show, dropped = (_json if output == "json" else _text), 0
    with _opened(config) as (letters, shards):
        for shard in shards:
            dropped += letters.dropped(shard)
            for _, letter in letters.kept(shard):
                sys.stdout.write(show(letter) + "\n")
    if dropped:
        sys.stderr.write(f"{dropped} older ones were dropped (redis.kept_rejects, redis.kept_reject_bytes)\n")


@contextmanager
def _opened(config: Path | None) -> Iterator[tuple["Letters", list[str]]]:
    """The dead letters of the configured Redis, and the partitions that may have some."""
    from detector.config import load  # noqa: PLC0415  # slow to import, and --help need not wait
    from detector.store.redis.connect import nodes_at  # noqa: PLC0415
    from detector.store.redis.letters import Letters  # noqa: PLC0415
    from detector.store.redis.written import shards  # noqa: PLC0415

    settings = load(config, os.environ).redis
    with closing(nodes_at(settings)) as nodes:
        yield Letters(nodes, settings.key_prefix), shards(nodes, settings.key_prefix)


def _text(letter: DeadLetter) -> str:
    """A line for people: nothing in it that a terminal would obey."""
    from detector.notify.console import printable  # noqa: PLC0415

    reason = f"{letter.error_class}: {letter.reason}"
    head = letter.value[:HEAD_BYTES].decode("utf-8", "backslashreplace")
    return "  ".join(map(printable, (_time(letter) or "-", letter.identity, reason, head)))


def _json(letter: DeadLetter) -> str:
    """An object on a line, in ASCII."""
    head = letter.value[:HEAD_BYTES].decode("utf-8", "backslashreplace")
    topic, partition, offset = letter.identity.split("/")
    return json.dumps(
        {
            "schema": "tailrace.dead-letter/1",
            "id": letter.identity,
            "time": _time(letter),
            "topic": topic,
            "partition": int(partition),
            "offset": offset,
            "error_class": letter.error_class,
            "error": letter.reason,
            "attempts": letter.attempts,
            "bytes": letter.size,
            "kept_bytes": len(letter.value),
            "value": head,
        }
    )


def _time(letter: DeadLetter) -> str | None:
    if letter.time_ms <= 0:
        return None
    try:
        at = datetime.fromtimestamp(letter.time_ms / 1000, UTC)
    except (OverflowError, ValueError):
        return None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
