"""Write logs for measurements: many sources at a time in the form of HDFS, or a log several times over.

`python -m benchmarks.generate --sources 100000 --lines 500000` prints such a log. No real data is in it.
"""

import argparse
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

START_S: Final = 1_226_264_400  # as in the public HDFS log
LINES_PER_S: Final = 1000  # of event time
# The life of a block that nothing goes wrong with: component, message.
LIFE: Final = (
    ("dfs.FSNamesystem", "BLOCK* NameSystem.allocateBlock: /user/app/rand/_temporary/part-00081. {block}"),
    *[("dfs.DataNode$DataXceiver", "Receiving block {block} src: /{ip}:43996 dest: /{ip}:50010")] * 3,
    *[("dfs.DataNode$PacketResponder", "PacketResponder 1 for block {block} terminating")] * 3,
    *[("dfs.DataNode$PacketResponder", "Received block {block} of size 67108864 from /{ip}")] * 3,
    *[
        (
            "dfs.FSNamesystem",
            "BLOCK* NameSystem.addStoredBlock: blockMap updated: {ip}:50010 is added to {block} size 6710886",
        )
    ]
    * 3,
    *[("dfs.FSNamesystem", "BLOCK* NameSystem.delete: {block} is added to invalidSet of {ip}:50010")] * 3,
)
# What a host says that nothing goes wrong with.
SYSLOG: Final = (
    "sshd(pam_unix)[{pid}]: check pass; user unknown",
    "sshd(pam_unix)[{pid}]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost={ip}",
    "su(pam_unix)[{pid}]: session opened for user news by (uid=0)",
    "su(pam_unix)[{pid}]: session closed for user news",
    "ftpd[{pid}]: connection from {ip} () at Sun Jul 10 03:55:15 2005",
)
BLOCK: Final = re.compile(rb"blk_-?\d+")
HOST: Final = re.compile(rb"(?<= )combo(?= )")


def main() -> None:
    """Print a log."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sources", type=int, default=1000, help="blocks that are alive at a time")
    arguments.add_argument("--lines", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    lines = interleaved(given.sources, given.seed)
    sys.stdout.buffer.writelines(islice(lines, given.lines))


def interleaved(sources: int, seed: int) -> Iterator[bytes]:
    """Lines of so many blocks at a time without an end: each goes through its life, then another begins."""
    rng = random.Random(seed)
    blocks, steps, newest = list(range(sources)), [0] * sources, sources
    number = 0
    while True:
        # The first round goes through all of them, so that all are alive from then on.
        slot = number if number < sources else rng.randrange(sources)
        yield of_block(blocks[slot], steps[slot], number)
        steps[slot] += 1
        if steps[slot] == len(LIFE):
            blocks[slot], steps[slot], newest = newest, 0, newest + 1
        number += 1


def growing(each: int, seed: int, line_of: Callable[[int, int, int], bytes]) -> Iterator[bytes]:
    """Lines of ever more sources without an end: one of a new source, the others of so many of any."""
    rng = random.Random(seed)
    steps: list[int] = []
    number = 0
    while True:
        source = len(steps) if number % each == 0 else rng.randrange(len(steps))
        if source == len(steps):
            steps.append(0)
        yield line_of(source, steps[source], number)
        steps[source] += 1
        number += 1


def of_block(block: int, step: int, number: int) -> bytes:
    """A line of a block in the form of HDFS, the number-th of the log."""
    component, message = LIFE[min(step, len(LIFE) - 1)]
    text = message.format(block=f"blk_{block}", ip=f"10.250.{block % 250}.{number % 250}")
    return f"{_at(number):%y%m%d %H%M%S} {number % 200} INFO {component}: {text}\n".encode()


def of_host(host: int, step: int, number: int) -> bytes:
    """A line of a host in the form of the public Linux log."""
    text = SYSLOG[(host + step) % len(SYSLOG)].format(pid=number % 30_000, ip=f"10.250.{host % 250}.1")
    return f"{_at(number):%b %e %H:%M:%S} combo{host} {text}\n".encode()


def _at(number: int) -> datetime:
    return datetime.fromtimestamp(START_S + number // LINES_PER_S, UTC)


def repeated(lines: Iterable[bytes], times: int) -> Iterator[bytes]:
    """Each line so many times in a row, each time of other blocks, or of another host than `combo`."""
    for line in lines:
        for number in range(times):
            mark = b"%d" % number
            yield HOST.sub(b"combo" + mark, BLOCK.sub(lambda found, mark=mark: found[0] + mark, line))  # type: ignore[misc]


if __name__ == "__main__":
    main()
