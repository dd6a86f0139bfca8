"""Events on disk: grouping keeps order, idle gaps cut lives, and memory follows what is kept."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from training import spool as spools
from training.names import NOT_KEPT, Names
from training.spool import EVENT, NO_TIME, Grouped, Spool, cut_lives, largest_gaps

SEED = 11


def events(*rows: tuple[int, int, int]) -> npt.NDArray[np.void]:
    """Events of (source, token, time); the offset counts them."""
    return np.array([(source, token, at, 0, n) for n, (source, token, at) in enumerate(rows)], EVENT)


def grouped_of(folder: Path, *rows: tuple[int, int, int]) -> Grouped:
    """These events grouped by source."""
    spool = Spool(folder)
    spool.append(events(*rows))
    return spool.grouped(range(1 + max(row[0] for row in rows)))


def test_grouping_keeps_each_sources_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random events in small blocks come back whole, each source's in the order of arrival."""
    sys.stdout.write(f"seed {SEED}\n")
    monkeypatch.setattr(spools, "BLOCK", 64)
    rng = np.random.default_rng(SEED)
    arrived = events(*((int(rng.integers(9)), n, n) for n in range(1000)))
    spool = Spool(tmp_path)
    for start in range(0, 1000, 77):
        spool.append(arrived[start : start + 77])
    grouped = spool.grouped(range(9))
    for source in range(9):
        assert np.array_equal(grouped.of(source), arrived[arrived["source"] == source])


def test_only_kept_sources_are_grouped_under_new_numbers(tmp_path: Path) -> None:
    """A source that is left out leaves no hole."""
    spool = Spool(tmp_path)
    spool.append(events((0, 5, 0), (1, 6, 0), (2, 7, 0), (2, 8, 0)))
    assert spool.count([0, 2]) == 3
    grouped = spool.grouped([2, 0])
    assert [grouped.of(n)["token"].tolist() for n in (0, 1)] == [[7, 8], [5]]
    assert grouped.events["source"].tolist() == [0, 0, 1]


def test_of_too_many_events_the_newest_are_taken(tmp_path: Path) -> None:
    """The bound counts arrivals, whoever they belong to."""
    spool = Spool(tmp_path)
    spool.append(events((0, 5, 0), (1, 6, 0), (0, 7, 0)))
    grouped = spool.grouped(range(2), most=2)
    assert [grouped.of(n)["token"].tolist() for n in (0, 1)] == [[7], [6]]


def test_nothing_groups_to_nothing(tmp_path: Path) -> None:
    """An empty corpus has no events and one border."""
    assert Spool(tmp_path).grouped(range(0)).starts.tolist() == [0]


def test_a_long_gap_begins_another_life(tmp_path: Path) -> None:
    """Idle beyond the bound cuts, a late line does not, and a source without times is one life."""
    grouped = grouped_of(
        tmp_path, (0, 2, 0), (0, 2, 50), (0, 2, 40), (0, 2, 200), (1, 2, NO_TIME), (1, 2, NO_TIME)
    )
    assert cut_lives(grouped, 100, range(2)) == [(0, 3), (3, 4), (4, 6)]
    assert cut_lives(grouped, None, range(2)) == [(0, 4), (4, 6)]


def test_largest_gaps_leave_out_what_has_no_time(tmp_path: Path) -> None:
    """Gaps are counted from the newest time before them."""
    grouped = grouped_of(
        tmp_path, (0, 2, 0), (0, 2, 50), (0, 2, 40), (0, 2, 200), (1, 2, NO_TIME), (1, 2, 7), (2, 2, 9)
    )
    assert largest_gaps(grouped, range(3)).tolist() == [150]


def test_few_sources_are_all_kept() -> None:
    """Numbers follow first sight and stay."""
    names = Names(10)
    assert [names.number(name) for name in "abab"] == [0, 1, 0, 1]
    assert len(names) == 2


def test_of_many_sources_the_same_part_is_kept_in_any_order() -> None:
    """Between half and all of the bound is kept, all are counted, and order changes nothing."""
    every = [f"blk_{n}" for n in range(5000)]
    one, other = Names(1000), Names(1000)
    for name in every:
        one.number(name)
    for name in reversed(every):
        other.number(name)
    assert 350 < len(one.kept) <= 1000
    assert set(one.kept) == set(other.kept)
    assert len(one) == len(other) == 5000
    left_out = next(name for name in every if name not in one.kept)
    assert one.number(left_out) == NOT_KEPT
    assert len(one) == 5000
