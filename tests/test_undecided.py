"""Kafka has lost the end of a transaction: it is taken back, and every line is routed once all the same."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from structlog.testing import capture_logs

from detector.distributed.routed import ORIGIN
from detector.distributed.routing import Router
from detector.inputs.kafka.feed import Begin, Shard
from detector.inputs.kafka.forwarding import partition_of
from tests.kafka_feeds import feed_of
from tests.servers.kafka import Broker
from tests.servers.kafka_logs import lose_last_marks
from tests.test_router import ROUTED, batch_of, begun, by_source, created, lines, record, routed_lines
from tests.watching import core_of

TOPIC, OFFSETS = "undecided", "__consumer_offsets"
TAKEN_BACK = "Kafka has lost the end of a transaction: taking it back"
WHOLE, HALF, ABORTED, FIRST = shards = [Shard(TOPIC, number) for number in range(4)]
RECORDS = {shard: [record(n, line) for n, line in enumerate(lines(90))] for shard in shards}


def route(router: Router, shard: Shard, after: int, to: int) -> None:
    """Route the lines behind an offset, all in one transaction, and wait until that was told to end."""
    router.process(batch_of(shard, after, RECORDS[shard][after + 1 : to]))
    router._forwarding.settle(shard)


def leave_open(router: Router, shard: Shard, after: int, to: int) -> None:
    """Route lines up to where the transaction would be told to end; who opens the shard next aborts it."""

    async def never() -> None:
        """End nothing."""

    router._forwarding._producers[shard].commit_transaction = never
    route(router, shard, after, to)


def route_some(router: Router) -> list[int]:
    """Route a part of each shard, nothing of the last; gives the numbers by which brokers know who did."""
    for shard in shards:
        begun(router, shard)
    for shard in (WHOLE, HALF, ABORTED):
        route(router, shard, -1, 30)
    for shard in (WHOLE, HALF):
        route(router, shard, 29, 60)
    leave_open(router, ABORTED, 29, 60)
    # Who opens a shard waits until the last transaction has come to its end.
    assert [router.fence(shard) for shard in shards] == [59, 59, 29, -1]
    producers = router._forwarding._producers
    return [int(producers[shard]._txn_manager.producer_id) for shard in shards]


def go_on(router: Router, to: int) -> list[int | None]:
    """Route each shard from where it is said to be, up to an offset; gives where it was."""
    with ThreadPoolExecutor() as pool:  # each waits a while before it takes a transaction for lost
        fences = list(pool.map(router.fence, shards))
    for shard, fence in zip(shards, fences, strict=True):
        after = -1 if fence is None else fence
        router.begin(shard, Begin(after, fence))
        if to:
            route(router, shard, after, to)
    return fences


def test_a_transaction_that_is_never_ended_is_taken_back_and_its_lines_are_routed_once(
    bundle: Path, tmp_path: Path
) -> None:
    """Lost everywhere; only where it says how far was read; one that was aborted; and a shard's first one."""
    broker, core = Broker(tmp_path), core_of(bundle)
    broker.start()
    try:
        routed = created(broker, TOPIC, len(shards))
        feed = feed_of(broker.address, TOPIC, begin_timeout_s=60.0)
        with closing(Router(core, feed, routed)) as router:
            whole, half, aborted, first = route_some(router)
        broker.kill()
        assert lose_last_marks(broker.data, routed, {whole, aborted}) == 2 * ROUTED
        assert lose_last_marks(broker.data, OFFSETS, {whole, half, aborted, first}) == 4
        broker.start()
        places = []
        with capture_logs() as logs:
            for to in (0, 45, 90, 90):  # each time by somebody else: one takes them back, one routes a part
                with closing(Router(core, feed, routed)) as router:
                    places.append(go_on(router, to))
        assert places == [[29, 29, 29, None], [29, 29, 29, -1], [44] * 4, [89] * 4]
        assert [one["event"] for one in logs].count(TAKEN_BACK) == 4
        found = defaultdict(list)
        for one in routed_lines(broker, routed):
            found[dict(one.headers)[ORIGIN].rpartition(b"/")[0].decode()].append(one.value)
            assert one.partition == partition_of(one.value.split()[1], ROUTED)
    finally:
        broker.kill()
    for shard in shards:
        assert by_source(found[f"{TOPIC}/{shard.partition}"]) == by_source(lines(90)), shard
