"""Lines that go on being written while servers and workers fail. Talks to the broker; starts a thread."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from aiokafka import AIOKafkaProducer

from tests.watching import START_S, endless
from tests.workers import last_lines, partition_of

PAUSE_S = 0.06
CHUNKS = (1, 6, 40)  # lines between two pauses
STOP_S = 20.0
AWAY_S = 60.0  # for how long a broker may be away

# A tick adds the time since the end of the log to the clock, and logs as fast as these are not like that: a
# second without a line would be one in which hundreds were due. So no source ever has a gap that lies less
# than four seconds below a time-out, and what a tick says is what the next line would say.
GAPS_S = (*[0.0] * 10, 8.0)
PAUSES_S = (48.0, 608.0)


class Load:
    """Writes lines to the partitions of their sources until it is told to end, and remembers them."""

    def __init__(self, address: str, topic: str, rng: random.Random, *, session: bool) -> None:
        """Start writing."""
        self.lines: list[bytes] = []
        self.counts: Counter[int] = Counter()  # of lines by partition
        self._address, self._topic, self._session = address, topic, session
        self._rng, self._log = rng, endless(rng, gaps_s=GAPS_S, pauses_s=PAUSES_S)
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what ended the writing, if something did."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Write what is on its way, and then the line of each partition that its clock ends with."""
        self.stop()
        self.check()
        assert not self._thread.is_alive(), "the broker does not take the lines"

    def stop(self) -> None:
        """The same as far as the broker takes it."""
        self._ending.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._write())
        except BaseException as error:  # noqa: BLE001  (raised where the test waits)
            self._error = error

    async def _write(self) -> None:
        # Idempotent: what was written while the broker died is there once, and in order.
        producer = AIOKafkaProducer(
            bootstrap_servers=self._address, enable_idempotence=True, request_timeout_ms=int(AWAY_S * 1000)
        )
        await producer.start()
        try:
            for chunk in self._chunks():
                sent = [await self._send(producer, line) for line in chunk]
                await asyncio.gather(*sent)
                await asyncio.to_thread(self._ending.wait, PAUSE_S)
        finally:
            await producer.stop()

    def _chunks(self) -> Iterator[list[bytes]]:
        while not self._ending.is_set():
            yield [line.rstrip(b"\n") for line in islice(self._log, self._rng.choice(CHUNKS))]
        yield last_lines(session=self._session, days=self._days() + 1)

    def _days(self) -> float:
        """The day of the last line."""
        last = self.lines[-1].split(b" ", 1)[0] if self.lines else b"2026-01-01T00:00:00Z"
        return (datetime.fromisoformat(last.decode()).timestamp() - START_S) / 86_400

    async def _send(self, producer: AIOKafkaProducer, line: bytes) -> asyncio.Future[object]:
        partition = partition_of(line, session=self._session)
        self.lines.append(line)
        self.counts[partition] += 1
        sent: asyncio.Future[object] = await producer.send(self._topic, line, partition=partition)
        return sent
