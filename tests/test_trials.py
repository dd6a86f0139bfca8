"""What is tried again, and what is put aside, when one process after the other ends over a batch."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from detector.config.options import RedisAt
from detector.distributed.trials import ATTEMPTS, Mark, Marks, Owed, Part, Trials, encoded
from detector.errors import InDoubt, Unavailable
from detector.inputs.kafka.feed import KafkaRecord, PartitionBatch, Shard
from detector.store.redis.connect import store_at
from detector.store.redis.store import RedisStore
from tests.servers.redis import Server

SHARD, NAME = Shard("logs", 0), "logs-0"
REREAD = 5  # offsets before the fence, as the router reads them


@pytest.fixture
def store(redis: Server) -> Iterator[RedisStore]:
    """Keeps marks; no commit goes there, as with the router."""
    with closing(store_at(RedisAt(url=redis.url))) as opened:
        opened.clear_mark(NAME)
        yield opened


class Died(BaseException):
    """The process is no more."""


class Away:
    """Marks in a Redis that can go away."""

    def __init__(self, marks: Marks) -> None:
        """It is there."""
        self._marks, self.is_away = marks, False

    def mark(self, shard: str) -> bytes | None:
        """The mark."""
        self._ask()
        return self._marks.mark(shard)

    def set_mark(self, shard: str, mark: bytes) -> None:
        """Leave a mark."""
        self._ask()
        self._marks.set_mark(shard, mark)

    def clear_mark(self, shard: str) -> None:
        """Take it away."""
        self._ask()
        self._marks.clear_mark(shard)

    def _ask(self) -> None:
        if self.is_away:
            raise Unavailable("Redis is away")


def batch(first: int = 0, last: int = 9) -> PartitionBatch:
    """The records of these offsets."""
    records = [KafkaRecord(offset, 0, None, b"line", ()) for offset in range(first, last + 1)]
    return PartitionBatch(SHARD, first - 1, last, records, at_end=True)


def begun(marks: Marks, fence: int = -1, owed: dict[str, Owed] | None = None) -> Trials:
    """A process that has taken the shard."""
    trials = Trials(marks, owed)
    trials.begin(SHARD, fence, is_known=True)
    return trials


def seen(trials: Trials, some: PartitionBatch) -> tuple[list[int], list[int]]:
    """The offsets that are worked on, and those that are put aside."""
    worked: list[int] = []
    aside: list[int] = []

    def work(part: Part) -> None:
        worked.extend(record.offset for record in part.batch.records)
        aside.extend([] if part.aside is None else [part.aside.offset])

    trials.each(some, work)
    return worked, aside


def raising(error: BaseException) -> Callable[[Part], None]:
    """Work that does not come back."""

    def work(_: Part) -> None:
        raise error

    return work


@pytest.mark.parametrize("error", [Unavailable("away"), InDoubt("no answer")])
def test_a_record_whose_dead_letter_was_not_kept_is_put_aside_at_the_next_start(
    store: RedisStore, error: Unavailable
) -> None:
    """It is neither lost nor tried again."""
    store.set_mark(NAME, encoded(Mark(-1, ATTEMPTS, 0)))
    with pytest.raises(Unavailable):
        begun(store).each(batch(), raising(error))
    assert seen(begun(store), batch()) == ([*range(1, 10)], [0])


def test_a_failure_behind_a_record_that_was_put_aside_does_not_bring_it_back(store: RedisStore) -> None:
    """Its dead letter is kept; what is read again before the fence leaves it out."""
    store.set_mark(NAME, encoded(Mark(-1, ATTEMPTS, 3)))

    def work(part: Part) -> None:
        if part.aside is None:
            raise Unavailable("away")

    with pytest.raises(Unavailable):
        begun(store).each(batch(), work)
    assert seen(begun(store, 3), batch()) == ([0, 1, 2, *range(4, 10)], [])


def test_what_was_put_aside_in_another_topic_says_nothing_of_this_one(store: RedisStore) -> None:
    """One that was made anew, or is read from its beginning: every record behind the fence is tried."""
    store.set_mark(NAME, encoded(Mark(100, 0, aside=(5,))))
    assert seen(begun(store), batch()) == ([*range(10)], [])


@pytest.mark.parametrize("bad", [{0, 1}, {3, 4, 9}, {0, 9}, {2, 5, 8}])
def test_several_bad_records_in_one_batch_are_put_aside_one_after_the_other(
    store: RedisStore, bad: set[int]
) -> None:
    """Also where no commit removes a mark, and where they are read again before the fence."""
    fence, aside = -1, list[int]()

    def work(part: Part) -> None:
        nonlocal fence
        if bad & {record.offset for record in part.batch.records}:
            raise Died
        aside.extend([] if part.aside is None or part.aside.offset <= fence else [part.aside.offset])
        fence = max(fence, part.batch.last)

    def start() -> bool:
        try:
            begun(store, fence).each(batch(max(0, fence - REREAD)), work)
        except Died:
            return False
        return True

    deaths = next(n for n in range(99) if start())
    assert aside == sorted(bad)
    assert deaths == ATTEMPTS * len(bad)


def test_a_store_that_is_away_again_and_again_is_no_attempt(store: RedisStore) -> None:
    """The mark that could not be taken away then is taken away before the next beginning."""
    marks, owed = Away(store), dict[str, Owed]()

    def work(_: Part) -> None:
        marks.is_away = True
        raise Unavailable("Redis is away")

    for _ in range(ATTEMPTS + 2):
        trials = begun(marks, owed=owed)
        with pytest.raises(Unavailable):
            trials.each(batch(), work)
        with pytest.raises(Unavailable):
            begun(marks, owed=owed)  # as long as it is away
        marks.is_away = False
    assert seen(begun(marks, owed=owed), batch()) == ([*range(10)], [])
    assert (store.mark(NAME), owed) == (None, {})


def test_only_the_mark_of_this_process_is_taken_away_late(store: RedisStore) -> None:
    """Another worker may have had the shard meanwhile, and may have ended over a record."""
    marks, owed = Away(store), dict[str, Owed]()
    trials = begun(marks, owed=owed)

    def work(_: Part) -> None:
        marks.is_away = True
        raise Unavailable("Redis is away")

    with pytest.raises(Unavailable):
        trials.each(batch(), work)
    marks.is_away = False
    theirs = encoded(Mark(-1, ATTEMPTS, 0))
    store.set_mark(NAME, theirs)
    assert seen(begun(marks, owed=owed), batch()) == ([*range(1, 10)], [0])
