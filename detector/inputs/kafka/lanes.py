"""What is known of the shards of one assignment. No I/O; used in the main loop alone."""

from dataclasses import dataclass, field

from detector.inputs.kafka.feed import PartitionBatch, Shard

UNHEARD_S = 5.0  # a broker answers ten times in this, also where there is nothing


@dataclass(slots=True)
class Lane:
    """One shard from its fence to the end of its log."""

    after: int  # what has been processed
    handed: int  # what is on its way
    position: int  # the next offset to fetch
    end: int  # of the log, as the broker said last
    answered_s: float  # when the broker said so
    stamp: int | None = None  # of that answer
    queued: int = 0  # batches that were fetched and are not processed
    ended_s: float | None = None  # since when everything up to the end is processed
    hinted: int = -1  # the offset that the group was told last

    def hear(self, end: int, stamp: int | None, now_s: float) -> None:
        """Take the end of the log from an answer; the same answer is there again until the next one comes."""
        if stamp == self.stamp:
            return
        unheard_s = now_s - self.answered_s
        if self.ended_s is not None and unheard_s > UNHEARD_S:
            # Nobody answered meanwhile, so nobody could write either: that was no quiet.
            self.ended_s += unheard_s
        self.stamp, self.end, self.answered_s = stamp, end, now_s

    @property
    def is_at_end(self) -> bool:
        """Whether everything that there is has been processed."""
        return not self.queued and self.position >= self.end

    @property
    def hint(self) -> int:
        """The offset to tell the group: behind marks of transactions too, so that no lag is left."""
        return self.after + 1 if self.queued else self.position


@dataclass(slots=True)
class Lanes:
    """The shards of the present assignment.

    An assignment is known by the number of rebalances before it: what was fetched or queued for
    another one is dropped, and read again from the fences.
    """

    rebalances: int = 0
    given: int = -1  # the assignment whose shards the group has named
    begun: int = -1  # the assignment whose fences were read
    spare: int = -1  # the assignment that gave us none
    lanes: dict[Shard, Lane] = field(default_factory=dict)
    stopped: dict[Shard, str] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether this assignment's shards are being read."""
        return self.begun == self.rebalances

    @property
    def is_given(self) -> bool:
        """Whether the group has said what is ours since it last took everything back."""
        return self.given == self.rebalances

    @property
    def is_spare(self) -> bool:
        """Whether the group has said that nothing is ours."""
        return self.spare == self.rebalances

    def queue(self, batch: PartitionBatch) -> None:
        """Note that a batch is on its way."""
        lane = self.lanes[batch.shard]
        lane.handed = batch.last
        lane.queued += 1
        lane.ended_s = None

    def done(self, lane: Lane, batch: PartitionBatch) -> None:
        """Note that a batch is processed; the lane is the one that it was taken from."""
        lane.after = batch.last
        lane.queued -= 1

    def hole(self, batch: PartitionBatch) -> str:
        """What is wrong where a batch does not follow the one before it."""
        lane = self.lanes[batch.shard]
        if batch.after == lane.after:
            return ""
        return (
            f"{batch.shard}: a batch begins after {batch.after}, but {lane.after} was the last one processed"
        )

    def quiet_s(self, shard: Shard) -> float | None:
        """How long the broker has had nothing more; None unless everything up to the end is processed."""
        lane = self.lanes.get(shard)
        if lane is None or not lane.is_at_end or not self.is_open:
            return None
        if lane.ended_s is None:
            lane.ended_s = lane.answered_s
        return max(0.0, lane.answered_s - lane.ended_s)

    def hints(self) -> dict[Shard, int]:
        """Offsets that the group has not been told."""
        return {shard: lane.hint for shard, lane in self.lanes.items() if lane.hint > max(lane.hinted, 0)}
