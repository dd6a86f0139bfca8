"""Write logs for measurements: many sources at a time in the form of HDFS, or a log several times over.

`python -m benchmarks.generate --sources 100000 --lines 500000` prints such a log. No real data is in it.
"""

import argparse
import random
import re
import sys
from collections.abc import Iterable, Iterator
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
        component, message = LIFE[steps[slot]]
        at = datetime.fromtimestamp(START_S + number // LINES_PER_S, UTC)
        text = message.format(block=f"blk_{blocks[slot]}", ip=f"10.250.{slot % 250}.{number % 250}")
        yield f"{at:%y%m%d %H%M%S} {number % 200} INFO {component}: {text}\n".encode()
        steps[slot] += 1
        if steps[slot] == len(LIFE):
            blocks[slot], steps[slot], newest = newest, 0, newest + 1
        number += 1


def repeated(lines: Iterable[bytes], times: int) -> Iterator[bytes]:
    """Each line so many times in a row, each time of other blocks, or of another host than `combo`."""
    for line in lines:
        for number in range(times):
            mark = b"%d" % number
            yield HOST.sub(b"combo" + mark, BLOCK.sub(lambda found, mark=mark: found[0] + mark, line))  # type: ignore[misc]


if __name__ == "__main__":
    main()
