"""`tailrace dead-letters`: what the worker could not judge. Talks to Redis and Kafka."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from detector.cli.options import ConfigFile, Format
from detector.errors import BadSetup
from detector.records import DeadLetter
from detector.words import counted

if TYPE_CHECKING:
    from detector.store.redis.letters import Letters

Ids = Annotated[
    tuple[str, ...],
    Parameter(
        name="ID",
        negative=(),
        show_default=False,
        help="TOPIC/PARTITION/OFFSET, as `dead-letters list` prints it.",
    ),
]
OfTopic = Annotated[str | None, Parameter(name="--topic", help="Only those of this topic.")]
Yes = Annotated[
    bool,
    Parameter(name="--yes", negative=(), show_default=False, help="Send them; else they are only listed."),
]

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
    show, listed, dropped = (_json if output == "json" else _text), 0, 0
    with _opened(config) as (letters, shards):
        for shard in shards:
            dropped += letters.dropped(shard)
            for _, letter in letters.kept(shard):
                sys.stdout.write(show(letter) + "\n")
                listed += 1
    if not listed:
        sys.stderr.write("no dead letters\n")
    if dropped:
        sys.stderr.write(f"{dropped} older ones were dropped (redis.kept_rejects, redis.kept_reject_bytes)\n")


@app.command(name="resubmit", usage="Usage: tailrace dead-letters resubmit [ID...] [OPTIONS]")
def resubmit(ids: Ids = (), /, *, topic: OfTopic = None, yes: Yes = False, config: ConfigFile = None) -> None:
    """Send dead letters to the worker again: all, those named, or those of a topic.

    Each is judged by itself and advances no source's state: its place in the order of lines is long past.
    It is told of if it cannot be read again, or if its message is a new one. Without --yes they are listed.

    Example: tailrace dead-letters resubmit --topic logs --yes

    Raises:
        BadSetup: no Redis or Kafka is configured, or a record that is named is not there.
        Unavailable: one of them cannot be reached.
    """
    wanted, missing, count = set(ids), set(ids), 0
    with _opened(config) as (letters, shards), _sending(config, yes=yes) as send:
        for shard in shards:
            for number, letter in letters.kept(shard):
                if (wanted and letter.identity not in wanted) or topic not in {None, _topic(letter)}:
                    continue
                missing.discard(letter.identity)
                sys.stdout.write(_text(letter) + "\n")
                if not letter.is_whole:
                    sys.stderr.write(f"{letter.identity} is cut, and is left out\n")
                    continue
                count += 1
                if send is not None:
                    send(letter)
                    letters.remove(shard, [number])
    if missing:
        named = " and no ".join(map(ascii, sorted(missing)))
        raise BadSetup(f"no dead letter {named}: `tailrace dead-letters list` shows those that there are")
    done = "sent" if yes else "found; --yes sends them"
    sys.stderr.write(f"{counted(count, 'record')} {done}\n")


def _topic(letter: DeadLetter) -> str:
    return letter.identity.split("/")[0]


@contextmanager
def _sending(config: Path | None, *, yes: bool) -> Iterator[Callable[[DeadLetter], None] | None]:
    """What sends a record again; None where nothing is to be sent."""
    if not yes:
        yield None
        return
    from detector.config import load  # noqa: PLC0415
    from detector.distributed.resubmitted import message  # noqa: PLC0415
    from detector.inputs.kafka.connection import connection_at  # noqa: PLC0415
    from detector.inputs.kafka.sending import Sender  # noqa: PLC0415

    with closing(Sender(connection_at(load(config, os.environ).kafka))) as sender:
        yield lambda letter: sender.send([message(letter)])


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
