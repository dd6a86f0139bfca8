"""The two ends of `benchmarks.stream`: what writes lines to Kafka, and the server that webhooks arrive at."""

import asyncio
import re
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from time import time
from typing import Final

from aiokafka import AIOKafkaProducer

from benchmarks.generate import BLOCK

PARTITIONS: Final = 4
PACED_S: Final = 20.0
SLICE_S: Final = 0.05  # lines are written in slices of this time
PROBE: Final = b"081111 000000 1 INFO dfs.Bench: wholly unheard of event %d of blk_77%d"
_PROBE_NUMBER: Final = re.compile(rb"unheard of event (\d+) of")
ARRIVE_S: Final = 60.0


def fill(address: str, topic: str, lines: Iterable[bytes], source: re.Pattern[bytes] = BLOCK) -> None:
    """Write all lines, each to the partition of its block, or of what else is its source."""
    asyncio.run(_fill(address, topic, lines, source))


async def _fill(address: str, topic: str, lines: Iterable[bytes], source: re.Pattern[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=address, max_batch_size=1 << 18)
    await producer.start()
    try:
        batches = [producer.create_batch() for _ in range(PARTITIONS)]
        for line in lines:
            place, key = _placed(line, source)
            if batches[place].append(key=key, value=line, timestamp=None) is None:
                await producer.send_batch(batches[place], topic, partition=place)
                batches[place] = producer.create_batch()
                batches[place].append(key=key, value=line, timestamp=None)
        for place, batch in enumerate(batches):
            await producer.send_batch(batch, topic, partition=place)
        await producer.flush()
    finally:
        await producer.stop()


def paced(address: str, topic: str, lines: Iterable[bytes], rate: float) -> dict[int, float]:
    """Write lines at a rate, and a probe with every slice; gives when each probe was written."""
    return asyncio.run(_paced(address, topic, lines, rate))


async def _paced(address: str, topic: str, lines: Iterable[bytes], rate: float) -> dict[int, float]:
    producer, endless, sent = AIOKafkaProducer(bootstrap_servers=address, linger_ms=5), cycle(lines), {}
    await producer.start()
    try:
        began_s = time()
        for number in range(int(PACED_S / SLICE_S)):
            for _ in range(int(rate * SLICE_S)):
                line = next(endless)
                place, key = _placed(line)
                await producer.send(topic, line, key=key, partition=place)
            probe = PROBE % (number, number)
            place, key = _placed(probe)
            sent[number] = time()
            await producer.send(topic, probe, key=key, partition=place)
            await asyncio.sleep(max(0.0, began_s + (number + 1) * SLICE_S - time()))
        await producer.flush()
    finally:
        await producer.stop()
    return sent


def _placed(line: bytes, source: re.Pattern[bytes] = BLOCK) -> tuple[int, bytes]:
    found = source.search(line)
    key = found[0] if found else b""
    return zlib.crc32(key) % PARTITIONS, key


class Arrivals:
    """When each probe's alert has arrived first."""

    def __init__(self) -> None:
        """Nothing has."""
        self.url = ""
        self._at_s: dict[int, float] = {}
        self._news = threading.Condition()

    def take(self, body: bytes) -> None:
        """Note the probes that a webhook tells of."""
        with self._news:
            for number in map(int, _PROBE_NUMBER.findall(body)):
                self._at_s.setdefault(number, time())
            self._news.notify_all()

    def wait_for(self, number: int) -> float:
        """When the probe's alert arrived."""
        with self._news:
            if not self._news.wait_for(lambda: number in self._at_s, ARRIVE_S):
                raise SystemExit(f"no webhook has told of probe {number}")
            return self._at_s[number]

    def clear(self) -> None:
        """Forget what has arrived."""
        with self._news:
            self._at_s.clear()


@contextmanager
def arriving() -> Iterator[Arrivals]:
    """A server on the loopback that takes every webhook."""
    arrivals = Arrivals()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            arrivals.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    arrivals.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield arrivals
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
