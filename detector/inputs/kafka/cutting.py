"""Cut what one fetch gave into batches of bounded size. No I/O."""

from collections.abc import Iterator, Sequence

from detector.inputs.kafka.feed import KafkaRecord, PartitionBatch, Shard


def cut(
    shard: Shard,
    after: int,
    last: int,
    records: Sequence[KafkaRecord],
    *,
    at_end: bool,
    max_lines: int,
    max_bytes: int,
) -> Iterator[PartitionBatch]:
    """Batches that follow each other from `after` to `last`; a record that is larger than a batch is one."""
    start = size = 0
    for at, record in enumerate(records):
        length = len(record.value or b"") + len(record.key or b"")
        if at > start and (at - start >= max_lines or size + length > max_bytes):
            batch_last = records[at - 1].offset
            yield PartitionBatch(shard, after, batch_last, list(records[start:at]), at_end=False)
            after, start, size = batch_last, at, 0
        size += length
    yield PartitionBatch(shard, after, last, list(records[start:]), at_end)
