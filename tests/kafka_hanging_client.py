"""A worker whose Kafka client hangs once it has read something: a process, as nothing can end it in order.

Talks to a broker; prints what the worker ends with.
"""

import asyncio
import sys
import threading

from detector.errors import Stuck
from detector.inputs.kafka.app import build
from detector.inputs.kafka.member import Member
from detector.inputs.kafka.run import serve
from tests.kafka_feeds import Keeper, Stop, feed_of


async def hang(member: Member, keeper: Keeper) -> None:
    """Hold up the thread of the client for good."""
    thread = await asyncio.shield(member.started)
    while not keeper.count:  # noqa: ASYNC110  (counted in another thread)
        await asyncio.sleep(0.01)
    thread.thread_loop.call_soon_threadsafe(threading.Event().wait)


async def main(address: str, topic: str) -> None:
    """Work until the watchdog ends it."""
    keeper = Keeper()
    member = Member(feed_of(address, topic, stall_timeout_s=1.0), keeper)
    hanging = asyncio.ensure_future(hang(member, keeper))
    try:
        await serve(member, build(member), Stop())
    except Stuck as error:
        sys.stdout.write(f"{error}\n")
    await hanging


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
