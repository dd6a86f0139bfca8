"""The Faust app: one agent over the topics. Builds services, starts nothing."""

from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.serializers import codecs
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from detector.inputs.kafka.consumer import Consumer
from detector.inputs.kafka.feed import PartitionBatch
from detector.inputs.kafka.member import Member

BUFFERED = 2  # batches that wait for the one in hand
FETCH_BYTES = 1 << 20  # as they lie on the broker, held ready for each partition
REQUEST_TIMEOUT_S = 40.0  # longer than any session


class Boot(BootStrategy):
    """Nothing is ever written by Faust, so no producer is started."""

    enable_kafka_producer = False
    enable_web = False


class NoTables(TableManager):
    """What keeps tables: the app has none, so that there is nothing to wait for."""

    async def on_start(self) -> None:
        """Go on at once; Faust would give tables a second to be declared."""
        await self._update_channels()
        await self.recovery.start()


class App(faust.App):
    """An app that leaves the disk alone and reads through our consumer."""

    BootStrategy = Boot
    member: Member

    def _create_directories(self) -> None:
        """Keep no tables, so no folders."""

    def _new_transport(self) -> Any:
        transport = type("Transport", (driver.Transport,), {"Consumer": self._consumer_class()})
        return transport(self.conf.broker_consumer, self)

    def _consumer_class(self) -> type[Consumer]:
        return type("WorkerConsumer", (Consumer,), {"member": self.member})


def build(member: Member) -> App:
    """The app of one worker.

    Nothing is acknowledged through Faust, nothing of it listens, and no topic is made.
    """
    feed = member.feed
    forbid_pickle()
    app = App(
        feed.group,
        env={},  # the environment sets nothing behind the configuration's back
        broker=[URL(f"kafka://{broker}") for broker in feed.connection.brokers],  # our client has its own
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        TableManager=NoTables,
        stream_wait_empty=False,
        stream_buffer_maxsize=BUFFERED,
        stream_recovery_delay=0.0,
        consumer_auto_offset_reset="none",
        consumer_max_fetch_size=min(feed.max_bytes, FETCH_BYTES),
        broker_session_timeout=feed.session_timeout_s,
        broker_heartbeat_interval=feed.session_timeout_s / 10,
        broker_request_timeout=REQUEST_TIMEOUT_S + feed.session_timeout_s,
        broker_rebalance_timeout=feed.rebalance_timeout_s,
        key_serializer="raw",
        value_serializer="raw",
    )
    app.member = member
    topic = app.topic(*feed.topics, acks=False, internal=False)

    @app.agent(topic, name="work", concurrency=1)
    async def work(stream: Any) -> None:
        batch: PartitionBatch
        async for rebalances, batch in stream:
            await member.take(rebalances, batch)

    @app.on_partitions_revoked.connect
    async def revoked(*_: Any, **__: Any) -> None:
        await member.release()

    @app.on_partitions_assigned.connect
    async def assigned(*given: Any, **_: Any) -> None:
        if not given[-1]:  # no shards; else `begin` takes them
            member.stand_by()

    return app


def forbid_pickle() -> None:
    """Take the codecs out that run code of whoever wrote a message."""
    for name in [name for name in codecs.codecs if "pickle" in name]:
        del codecs.codecs[name]
