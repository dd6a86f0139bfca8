"""What a first attempt would be: a Faust agent that matches, scores and keeps a state event by event.

`python -m benchmarks.plain_agent BROKER TOPIC BUNDLE REDIS_URL TRAINING LINES` prints lines and CPU seconds.
Drain3 with its defaults learns from the first lines of TRAINING; the state lies in Redis, read and written
for every event.
"""

import json
import logging
import os
import re
import sys
from itertools import islice
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import faust
import numpy as np
from drain3 import TemplateMiner
from redis import Redis

from detector.bundle import load

LEARNT_LINES = 20_000
BLOCK = re.compile(rb"blk_-?\d+")
HEADER_WORDS = 5  # of HDFS: date, time, process, level, component


def agent(broker: str, topic: str, bundle: Path, redis_url: str, training: Path, lines: int) -> faust.App:
    """The app; it stops itself after so many lines."""
    loaded = load(bundle)
    miner, model, redis = TemplateMiner(), loaded.step, Redis.from_url(redis_url)
    with training.open(encoding="utf-8") as file:
        for line in islice(file, LEARNT_LINES):
            miner.add_log_message(_message(line))
    size = int(loaded.manifest.model["vocabulary"])
    app = faust.App("plain", broker=f"kafka://{broker}", store="memory://", web_enabled=False)
    read = app.topic(topic, key_serializer="raw", value_serializer="raw")
    lengths, zeros = np.ones(1, np.int32), np.zeros((1, model.hidden_size), np.float32)
    seen = 0
    began_s = 0.0

    @app.agent(read)
    async def score(values: Any) -> None:
        nonlocal seen, began_s
        async for value in values:
            began_s = began_s or _cpu_s()
            cluster = miner.match(_message(value.decode()))
            token = 1 if cluster is None else 2 + cluster.cluster_id % (size - 2)
            found = BLOCK.search(value)
            key = b"plain:" + (found[0] if found else b"")
            stored = redis.get(key)
            hidden = np.frombuffer(stored, np.float32)[None, :] if isinstance(stored, bytes) else zeros
            _, _, after = model.run(np.array([[token]]), lengths, hidden)
            redis.set(key, after.tobytes())
            seen += 1
            if seen == lines:
                said = json.dumps({"lines": seen, "cpu_s": _cpu_s() - began_s})
                os.write(1, said.encode())  # Faust takes the standard output for its log
                os._exit(0)  # its own way to stop waits for this agent

    return app


def _message(line: str) -> str:
    return line.rstrip("\n").split(" ", HEADER_WORDS)[-1]


def _cpu_s() -> float:
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    logging.disable()
    broker, topic, bundle, redis_url, training, lines = sys.argv[1:]
    app = agent(broker, topic, Path(bundle), redis_url, Path(training), int(lines))
    faust.Worker(app, loglevel="error").execute_from_commandline()
