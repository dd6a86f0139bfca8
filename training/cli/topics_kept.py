"""Keep what topics hold for training, which reads its input twice. Reads Kafka, writes temporary files.

A file for each key of a partition, as the key names a source where nothing else does.
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from detector.config import Settings
from detector.errors import BadSetup, Unavailable
from detector.inputs.binary import judged
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.inputs.kafka.spans import is_topic, span_of

BATCH = 8192  # records
MOST_KEYS: Final = 1_000  # of a partition; the records of others are kept together
LOOKED_AT: Final = 1 << 14  # bytes of a value


@contextmanager
def topics_kept(inputs: Sequence[str], settings: Settings) -> Iterator[list[str]]:
    """While entered, the lines of topics lie in files; gives the inputs with a folder in place of each topic.

    Raises:
        BadSetup: no Kafka is configured, a topic is not there, is empty, or does not hold lines of text.
        Unavailable: Kafka cannot be reached, or there is no room.
    """
    names = [name for name in inputs if is_topic(name)]
    if not names:
        yield list(inputs)
        return
    from detector.inputs.kafka.connection import connection_at  # noqa: PLC0415  # takes a second
    from detector.inputs.kafka.history import opened  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="tailrace-") as kept:
        folders = {name: Path(kept) / span_of(name).topic / str(n) for n, name in enumerate(names)}
        for name, folder in folders.items():
            folder.mkdir(parents=True)
            with opened(connection_at(settings.kafka), [span_of(name)], BATCH) as partitions:
                for shard, batches in partitions:
                    _keep(shard, batches, folder)
            if not any(folder.iterdir()):
                raise BadSetup(f"{name}: there is nothing in it to train on; correct its name or times")
        yield [str(folders[name]) if name in folders else name for name in inputs]


def _keep(shard: Shard, batches: Iterable[list[KafkaRecord]], folder: Path) -> None:
    """Write a partition's values as lines."""
    numbers: dict[bytes, int] = defaultdict(count(1).__next__)
    for batch in batches:
        lines: dict[int, list[bytes]] = {}
        times_s: dict[int, float] = {}
        for record in batch:
            key = record.key or b""
            number = numbers[key] if key in numbers or len(numbers) < MOST_KEYS else 0
            if record.value:
                lines.setdefault(number, []).append(_line(shard, record))
                times_s[number] = record.time_ms / 1000
        try:
            for number, some in lines.items():
                path = folder / f"partition{shard.partition}key{number}.log"
                with path.open("ab") as file:
                    file.writelines(some)
                # A file's last change says the year of its last line.
                os.utime(path, (times_s[number], times_s[number]))
        except OSError as error:
            raise Unavailable(
                f"topic {shard.topic} cannot be kept in {tempfile.gettempdir()}: {error.strerror}; "
                "name a folder that has room by TMPDIR"
            ) from error


def _line(shard: Shard, record: KafkaRecord) -> bytes:
    value = record.value or b""
    if b"\0" in value[:LOOKED_AT] or judged(value[:LOOKED_AT]):
        raise BadSetup(
            f"{shard} holds no lines of text (offset {record.offset}): training reads topics of text and "
            "JSON; give it the lines as files"
        )
    return value.rstrip(b"\r\n") + b"\n"
