"""What a source costs: bytes in Redis, and the memory of a worker, from ten thousand sources to a million.

`python -m benchmarks.sources --data FOLDER` prints one JSON object a line. It starts a broker and a Redis of
its own, trains a small bundle on FOLDER/hdfs or reuses that in ./bench-out, and sends generated lines of ever
more blocks that are alive at a time: two lines of each at first, then as many again of any.
"""

import argparse
import logging
import tempfile
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.generate import interleaved
from benchmarks.stream import Stage, made, servers, status, until, worker
from benchmarks.stream_feed import fill
from benchmarks.watch import LOGS, prepared, show
from detector.config.options import RedisAt
from detector.store.redis.connect import nodes_at
from tests.receiver import Script
from tests.receiver import serving as receiving

TOPIC: Final = "keyed-sources"
STEPS: Final = (10_000, 100_000, 300_000, 1_000_000)


def main() -> None:
    """Grow, and print after each step."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds hdfs")
    arguments.add_argument("--out", type=Path, default=Path("bench-out"), help="where the bundle is kept")
    arguments.add_argument("--sources", type=int, default=STEPS[-1])
    given = arguments.parse_args()
    logging.disable()
    given.out.mkdir(exist_ok=True)
    bundle, _ = prepared(LOGS[0], given.data, given.out, epochs=1)
    with tempfile.TemporaryDirectory() as name, receiving(Script()) as receiver, servers(Path(name)) as urls:
        stage = Stage(*urls, bundle.absolute(), Path(name), receiver.url)
        made(stage, TOPIC)
        empty, before = _redis_bytes(stage), 0
        with worker(stage, TOPIC) as running:
            for sources in (*(step for step in STEPS if step < given.sources), given.sources):
                # A line of every block that is new, then as many again of any.
                lines = islice(interleaved(sources, seed=sources), before, 2 * sources - before)
                fill(stage.broker, TOPIC, (line.rstrip(b"\n") for line in lines))
                sample = until(running, 2 * sources)
                before = sources
                memory = status(running.process.pid)
                show(
                    sources=sources,
                    lines=sample.lines,
                    redis_bytes_per_source=round((_redis_bytes(stage) - empty) / sources),
                    worker_resident_mib=int(memory["VmRSS"].split()[0]) >> 10,
                    worker_peak_mib=int(memory["VmHWM"].split()[0]) >> 10,
                    worker_cpu_s=round(sample.cpu_s, 1),
                )


def _redis_bytes(stage: Stage) -> int:
    with closing(nodes_at(RedisAt(url=stage.redis))) as nodes:
        (address,) = nodes.primaries()
        info = nodes.ask_at(address, "INFO", "memory").decode()
    return int(info.partition("used_memory:")[2].split()[0])


if __name__ == "__main__":
    main()
