"""Topics that lose records or are made anew under their fences."""

from tests.faults.stage import Staged
from tests.servers import topics
from tests.watching import until
from tests.workers import come_to, fences, partition_of, said


def test_lines_that_retention_took_before_they_were_read_are_counted(on_stage: Staged) -> None:
    """The shard jumps and starts cold, people are told, and the other shards are as they were."""
    with on_stage("lines-taken") as stage:
        stage.come_on(300)
        stage.crew.let_go(stage.crew.workers[0])
        fence = fences(stage.at)["lines-taken-0"]
        until(lambda: stage.load.counts[0] > fence + 50)
        stage.load.finish()
        topics.delete_before(stage.broker, "lines-taken", 0, stage.load.counts[0] - 1)
        lost = stage.load.counts[0] - 1 - (fence + 1)
        stage.crew.hire()
        stage.until(lambda: stage.done() >= len(stage.load.lines))
        (entry,) = said(stage.crew.errors, "lines lost to retention")
        assert (entry["shard"], entry["lines"]) == ("lines-taken-0", lost)
        kept = [line for line in stage.load.lines if partition_of(line, session=True) != 0]
        last = next(line for line in stage.load.lines[::-1] if partition_of(line, session=True) == 0)
        expected = stage.replayed([*kept, last])[0]
        stage.until(lambda: come_to(stage.at, stage.core)[0] == expected)
        stage.notices.check()


def test_a_topic_made_anew_under_its_fences_is_not_read(on_stage: Staged) -> None:
    """Nothing of it is taken for what comes next in the old one; people are told what to do."""
    with on_stage("made-anew") as stage:
        stage.come_on(300)
        expected = stage.settle()
        stage.crew.let_go(stage.crew.workers[0])
        topics.delete(stage.broker, "made-anew")
        topics.create(stage.broker, "made-anew", partitions=4)
        topics.produce(stage.broker, "made-anew", stage.load.lines[:10])
        stage.crew.hire()
        stage.until(lambda: len(said(stage.crew.errors, "shard stopped")) >= 4)
        assert all(
            "tailrace shards reset" in one["reason"] for one in said(stage.crew.errors, "shard stopped")
        )
        stage.crew.let_go(stage.crew.workers[0])
        assert come_to(stage.at, stage.core) == expected
