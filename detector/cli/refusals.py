"""What `watch` and `worker` refuse because of the configuration alone. Looks at files and folders.

Each function gives a line for every fault and raises nothing, so that one look shows all of them.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Literal

from detector.cli.options import InputOptions
from detector.cli.outputs import unwritable
from detector.cli.receivers import receivers_of
from detector.cli.start import NO_BUNDLE, core_of
from detector.config import Settings
from detector.distributed.lacking import lacking
from detector.errors import BadSetup
from detector.inputs.kafka import connection as kafka
from detector.inputs.paths import STDIN, covers
from detector.notify.receivers import STDOUT, check

STARTS: dict[str, Literal["start", "end"]] = {
    "start": "start",
    "earliest": "start",
    "end": "end",
    "latest": "end",
}


def refuse(faults: Iterable[str]) -> None:
    """End the command where something is wrong.

    Raises:
        BadSetup: with one line for every fault.
    """
    if found := list(faults):
        raise BadSetup("\n".join(found))


def of_start(settings: Settings) -> Iterator[str]:
    """A time to begin at, where only files can be read."""
    start = settings.input.start
    if start not in STARTS:
        yield f"input.start is {start}: a file cannot be begun at a time; write start or end"


def of_state(settings: Settings) -> Iterator[str]:
    """A state file that cannot be made."""
    if settings.state.path is not None:
        yield from unwritable(settings.state.path, "state file")


def of_loops(settings: Settings) -> Iterator[str]:
    """What is written and read at the same time: that would never come to an end."""
    inputs = [os.path.abspath(name) for name in settings.input.paths if name != STDIN]  # noqa: PTH100  (keeps links)
    written = [] if settings.state.path is None else [str(settings.state.path)]
    for file in (*written, *_files(settings)):
        hidden = os.path.basename(file).startswith(".")  # noqa: PTH119  (is not read in a folder)
        if not hidden and covers(inputs, os.path.abspath(file)):  # noqa: PTH100
            yield f"{file} is written by this command and is among its inputs; put it elsewhere"


def of_receivers(settings: Settings) -> Iterator[str]:
    """Receivers that could never be told."""
    for jsonl in settings.receivers.jsonl:
        if str(jsonl.path) != STDOUT:
            yield from unwritable(jsonl.path, f"file of the receiver {jsonl.name}")
    if settings.receivers.kafka:
        if not settings.kafka.brokers:
            yield "receivers.kafka: no brokers are named: set brokers of [kafka], such as HOST:9092"
        yield from kafka.certificate_faults(settings.kafka)
    for receiver in receivers_of(settings, None):
        try:
            check(receiver)
        except BadSetup as error:
            yield str(error)


def of_servers(settings: Settings) -> Iterator[str]:
    """What a worker lacks, and certificates that would look like a server that is not there."""
    if settings.bundle.path is None:
        yield NO_BUNDLE
    yield from lacking(settings)
    yield from of_topics(settings)
    yield from kafka.certificate_faults(settings.kafka)
    if settings.redis.url is not None:
        from detector.store.redis import connect  # noqa: PLC0415  # slow to import

        yield from connect.certificate_faults(settings.redis)


def of_topics(settings: Settings) -> Iterator[str]:
    """Topics that a worker would write to and read: that would never come to an end."""
    ours, read = settings.kafka, set(settings.kafka.topics)
    if not settings.input.keyed:
        if ours.routed_topic in read:
            yield f"kafka.routed_topic {ours.routed_topic} is among kafka.topics: give it a name of its own"
        read.add(ours.routed_topic)
    written = {"kafka.dead_letter_topic": ours.dead_letter_topic, "kafka.scores_topic": ours.scores_topic}
    written |= {f"topic of the receiver {one.name},": one.topic for one in settings.receivers.kafka}
    for option, topic in written.items():
        if topic in read:
            yield f"{option} {topic} is read by this worker, with all that it writes there: name another"


def of_bundle(settings: Settings) -> Iterator[str]:
    """A bundle that cannot be used, or not with these options; whether one is named at all is not asked."""
    if settings.bundle.path is not None:
        try:
            core_of(settings, None, InputOptions(), []).new_reader()
        except BadSetup as error:
            yield str(error)


def of_all(settings: Settings) -> list[str]:
    """Every fault, each once; topics to read mean a worker, which takes nothing from a command line."""
    found = [*of_state(settings), *of_loops(settings), *of_receivers(settings), *of_bundle(settings)]
    found += of_servers(settings) if settings.kafka.topics else of_start(settings)
    return list(dict.fromkeys(found))


def _files(settings: Settings) -> list[str]:
    return [path for jsonl in settings.receivers.jsonl if (path := str(jsonl.path)) != STDOUT]
