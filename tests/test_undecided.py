"""Kafka has lost the end of a transaction: it is taken back, and every line is routed once all the same."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

from structlog.testing import capture_logs

from detector.distributed.routed import ORIGIN
from detector.distributed.routing import Router
from detector.inputs.kafka.feed import Begin, Shard
from detector.inputs.kafka.forwarding import partition_of
from tests.kafka_feeds import feed_of
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.kafka_logs import lose_last_marks
from tests.test_router import ROUTED, batch_of, begun, by_source, created, lines, record, routed_lines
from tests.watching import core_of

TOPIC, OFFSETS = "undecided", "__consumer_offsets"
WHOLE, HALF, ABORTED, FIRST = shards = [Shard(TOPIC, number) for number in range(4)]
RECORDS = {shard: [record(n, line) for n, line in enumerate(lines(90))] for shard in shards}


def route(router: Router, shard: Shard, after: int, to: int) -> None:
    """Route the lines behind an offset, all in one transaction, and wait for its end."""
    router.process(batch_of(shard, after, RECORDS[shard][after + 1 : to]))
    router._forwarding.settle(shard)


def leave_open(router: Router, shard: Shard, after: int, to: int) -> None:
    """Route lines up to where the transaction would be told to end; who opens the shard next aborts it."""

    async def never() -> None:
        """End nothing."""

    router._forwarding._producers[shard].commit_transaction = never
    route(router, shard, after, to)
    router.fence(shard)


def producer_of(router: Router, shard: Shard) -> int:
    """The number by which brokers know who writes for a shard."""
    return int(router._forwarding._producers[shard]._txn_manager.producer_id)


def test_a_transaction_that_is_never_ended_is_taken_back_and_its_lines_are_routed_once(
    bundle: Path, tmp_path: Path
) -> None:
    """Lost everywhere; only where it says how far was read; one that was aborted; and a shard's first one."""
    broker = Broker(tmp_path)
    broker.start()
    try:
        routed, feed, core = (
            created(broker, TOPIC, len(shards)),
            feed_of(broker.address, TOPIC),
            core_of(bundle),
        )
        with closing(Router(core, feed, routed)) as router:
            for shard in shards:
                begun(router, shard)
            for shard in (WHOLE, HALF, ABORTED):
                route(router, shard, -1, 30)
            for shard in (WHOLE, HALF):
                route(router, shard, 29, 60)
            leave_open(router, ABORTED, 29, 60)
            number = partial(producer_of, router)
            everywhere, offsets_only = [number(WHOLE), number(ABORTED)], [number(HALF), number(FIRST)]
        broker.kill()
        assert lose_last_marks(broker.data, routed, everywhere) == ROUTED * 2
        assert lose_last_marks(broker.data, OFFSETS, everywhere + offsets_only) == 4
        broker.start()
        with closing(Router(core, feed, routed)) as router, capture_logs() as logs:
            with (
                ThreadPoolExecutor() as pool
            ):  # side by side, for each waits a while before it takes it for lost
                fences = list(pool.map(router.fence, shards))
            assert fences == [29, 29, 29, None]
            for shard, fence in zip(shards, fences, strict=True):
                router.begin(shard, Begin(-1 if fence is None else fence, fence))
                route(router, shard, -1 if fence is None else fence, 90)
        assert [one["event"] for one in logs].count(
            "Kafka has lost the end of a transaction: taking it back"
        ) == 4
        found = defaultdict(list)
        for one in routed_lines(broker, routed):
            found[dict(one.headers)[ORIGIN].rpartition(b"/")[0]].append(one.value)
            assert one.partition == partition_of(one.value.split()[1], ROUTED)
        for shard in shards:
            assert by_source(found[b"%b/%d" % (TOPIC.encode(), shard.partition)]) == by_source(lines(90)), (
                shard
            )
            assert topics.committed(broker.address, f"{TOPIC}-group-router", *shard) == 90
    finally:
        broker.kill()
