"""Where to read a shard from, given its fence and its log. No I/O."""

from detector.inputs.kafka.feed import Begin, Shard


def beginning(
    shard: Shard, fence: int | None, log: range, first: int, *, known: bool = False, reread: int = 0
) -> Begin | str:
    """Where to begin, or why the shard cannot be read.

    `log` holds the offsets from the log's start to its end; `first` is wanted where there is no fence,
    and `known` says whether the group has been there all the same. Behind a fence as many offsets are read
    again as `reread` says, and the log still holds.
    """
    if fence is None:
        return Begin(after=min(max(first, log.start), log.stop) - 1, fence=None, forgotten=known)
    if fence >= log.stop:
        return (
            f"{shard} ends at offset {log.stop - 1}, before its fence {fence}: the topic was made anew or "
            f"the cluster lost records; run `tailrace shards reset {shard}` to begin it again"
        )
    if fence + 1 < log.start:
        return Begin(after=log.start - 1, fence=fence, lost=log.start - 1 - fence)
    return Begin(after=max(fence - reread, log.start - 1), fence=fence)
