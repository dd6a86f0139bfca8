"""Windows for training: nothing lost, nothing twice, padding without weight, noise at its rate."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from detector.records import END, FIRST_TEMPLATE, UNKNOWN
from training.model.sequences import NOISE, Sessions, Window, disturbed, join, session_windows, with_noise
from training.model.streams import stream_windows

Tokens = npt.NDArray[np.int64]
some_lengths = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def counted(lengths: list[int]) -> list[Tokens]:
    """Sequences whose events are all different, so that each can be found again."""
    ends = np.cumsum(lengths)
    return [np.arange(end - length, end) + FIRST_TEMPLATE for end, length in zip(ends, lengths, strict=True)]


def rows_of(windows: list[Window]) -> list[list[int]]:
    """What each row reads from one fresh start to the next, padding left out."""
    found: list[list[int]] = []
    open_rows: list[list[int]] = []
    for window in windows:
        if window.fresh.all():
            open_rows = [[] for _ in window.fresh]
            found += open_rows
        for row, fresh in enumerate(window.fresh):
            if fresh and open_rows[row]:
                open_rows[row] = []
                found.append(open_rows[row])
            open_rows[row] += window.tokens[window.weights[:, row] > 0, row].tolist()
    return [row for row in found if row]


@given(lengths=some_lengths, batch=st.integers(1, 5), window=st.integers(1, 16))
def test_every_session_is_read_whole_and_ended(lengths: list[int], batch: int, window: int) -> None:
    """Whatever the batch and the window, a session's row holds its events in order, then END."""
    sessions = counted(lengths)
    windows = list(session_windows(join(sessions), rows=batch, window=window, rng=None))
    assert sorted(rows_of(windows)) == sorted([*session.tolist(), END] for session in sessions)
    assert all(len(part.tokens) <= window for part in windows)


@given(lengths=some_lengths, batch=st.integers(1, 5), window=st.integers(1, 16))
def test_every_stream_is_read_in_order(lengths: list[int], batch: int, window: int) -> None:
    """Stretches of the streams follow each other without a gap; inside a stream the first window warms up."""
    data = counted(lengths)
    windows = list(stream_windows(data, rows=batch, window=window, rng=None))
    read = [event for part in windows for event in part.tokens.T.ravel().tolist() if event != UNKNOWN]
    assert sorted(read) == sorted(event for stream in data for event in stream.tolist())
    for row in rows_of(windows):
        assert np.all(np.diff(row) == 1)


def test_short_streams_are_not_cut() -> None:
    """A stream that is worth one lane is scored from its first event to its last."""
    [stream] = counted([500])
    windows = list(stream_windows([stream], rows=64, window=64, rng=None))
    assert rows_of(windows) == [stream.tolist()]


def test_a_large_stream_runs_in_equal_lanes() -> None:
    """A long stream fills all lanes, and hardly a lane idles."""
    stream = np.full(200_000, FIRST_TEMPLATE)
    windows = list(stream_windows([stream], rows=8, window=64, rng=np.random.default_rng(1)))
    read = sum(float(window.weights.sum()) for window in windows)
    assert {window.tokens.shape for window in windows} == {(64, 8)}
    assert read > 0.97 * sum(window.tokens.size for window in windows)


def test_streams_may_lie_in_mapped_files(tmp_path: Path) -> None:
    """A stream on disk gives the windows of the same stream in memory."""
    stream = np.random.default_rng(3).integers(FIRST_TEMPLATE, 20, 5000).astype(np.int32)
    np.save(tmp_path / "stream.npy", stream)
    mapped = np.load(tmp_path / "stream.npy", mmap_mode="r")
    pairs = zip(
        stream_windows([stream], rows=4, window=32, rng=np.random.default_rng(0)),
        stream_windows([mapped], rows=4, window=32, rng=np.random.default_rng(0)),
        strict=True,
    )
    assert all(np.array_equal(one.tokens, other.tokens) for one, other in pairs)


def noisy(count: int) -> tuple[Sessions, list[Tokens]]:
    """Sessions of twenty equal events after noise, split again: first the copies, then the disturbed ones."""
    plain = join([np.full(20, FIRST_TEMPLATE + 1)] * count)
    result = with_noise(plain, np.random.default_rng(5))
    return result, np.split(result.tokens, np.cumsum(result.lengths)[:-1])


def test_noise_comes_at_its_rate_and_spares_the_ends() -> None:
    """A hundredth turns unknown, the copy loses and doubles as many, every session ends once."""
    result, parts = noisy(4000)
    unknown = np.mean(result.tokens[result.tokens != END] == UNKNOWN)
    assert abs(unknown - NOISE) < 0.002
    assert all(part[-1] == END and np.sum(part == END) == 1 for part in parts)
    lengths = result.lengths[4000:]
    assert set(result.lengths[:4000].tolist()) == {21}
    assert abs(float(np.mean(lengths)) - 21) < 0.05
    assert 0.25 < float(np.mean(lengths != 21)) < 0.4  # 1 - .98**20 = .33, less what cancels out


def test_swapped_events_change_places_inside_their_session() -> None:
    """The disturbed copy holds swapped neighbours, none of them over a session's edge."""
    sessions = counted([20] * 500)
    moved = disturbed(join(sessions), np.random.default_rng(2))
    parts = np.split(moved.tokens, np.cumsum(moved.lengths)[:-1])
    for session, part in zip(sessions, parts, strict=True):
        assert set(part.tolist()) <= {*session.tolist(), END}
    falls = sum(int(np.sum(np.diff(part[:-1]) < 0)) for part in parts)
    assert 50 < falls < 150  # a hundredth of ten thousand


def test_an_epoch_of_much_data_is_another_random_part_each_time() -> None:
    """Of more data than an epoch holds, epochs read different parts, none above the bound."""

    def read(seed: int) -> set[int]:
        windows = session_windows(many, rows=10, window=20, rng=np.random.default_rng(seed), bound=1000)
        return {event for window in windows for event in window.tokens.ravel().tolist()}

    many = join(counted([19] * 200))
    assert 900 < len(read(1)) <= 1000
    assert len(read(1) & read(2)) < 500


def test_an_epoch_of_long_streams_is_bounded() -> None:
    """An epoch reads random stretches of a long stream, as many as its bound allows."""
    [stream] = counted([50_000])
    windows = list(stream_windows([stream], rows=4, window=16, rng=np.random.default_rng(0), bound=10_000))
    events = {event for window in windows for event in window.tokens.ravel().tolist()}
    assert 9000 < len(events) <= 10_001
    assert max(events) - min(events) > 20_000
