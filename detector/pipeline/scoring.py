"""Score the events of stretches, and the sessions that end with them. Pure."""

from itertools import chain

import numpy as np

from detector.bundle import SLOTS, Bundle, SessionCalibration
from detector.pipeline.stretches import events_of
from detector.records import END
from detector.stages.judge.policy import Policy, Stretch
from detector.stages.judge.state import count_matrix, read_tokens
from detector.stages.reading import tokens_of, with_tokens
from detector.stages.score import ending
from detector.stages.score.again import read_again
from detector.stages.score.pairs import count_new
from detector.stages.score.score import expected, score_rows
from detector.stages.surprise import Row, RowScore, sums


def score_stretches(stretches: list[Stretch], bundle: Bundle, policy: Policy) -> list[float]:
    """Score every stretch and every ended session; a number for each stretch, 0 where nothing ended."""
    scored: list[Stretch] = []
    rows: list[Row] = []
    for stretch in stretches:
        tokens = _with_end(stretch) if policy.session else events_of(stretch)
        if tokens:
            state = stretch.state
            scored.append(stretch)
            rows.append(Row(tokens, np.frombuffer(state.hidden, np.float32), state.holds))
    scores = score_rows(bundle.step, rows, policy.calibration.hold_bits)
    for stretch, row, score, excess in zip(scored, rows, scores, sums(rows, scores), strict=True):
        stretch.state.excess_sum += excess
        _take_score(stretch, row, score, bundle)
    session = policy.calibration.session
    return [0.0] * len(stretches) if session is None else _totals(stretches, bundle, session)


def _with_end(stretch: Stretch) -> list[int]:
    """The tokens of a session's events, and of its end where it is there."""
    tokens = events_of(stretch)
    return [*tokens, END] if stretch.ends and not stretch.cut_off else tokens


def _take_score(stretch: Stretch, row: Row, score: RowScore, bundle: Bundle) -> None:
    state = stretch.state
    state.hidden, state.holds = score.hidden.tobytes(), score.holds
    stretch.score = score
    stretch.expected = lambda index: expected(bundle.step, row, score, index)


def _totals(stretches: list[Stretch], bundle: Bundle, session: SessionCalibration) -> list[float]:
    totals = [0.0] * len(stretches)
    live = [index for index, stretch in enumerate(stretches) if not stretch.state.ended]
    if not live or bundle.ending is None:
        return totals
    counts = count_matrix([stretches[index].state for index in live])
    _add_counts(counts, [stretches[index] for index in live], session)
    for row, index in enumerate(live):
        state = stretches[index].state
        state.counts = counts[row].tobytes() + _kept_tokens(stretches[index], bundle)
    _add_pairs([stretches[index] for index in live], bundle, session)
    ended = [(row, index) for row, index in enumerate(live) if stretches[index].ends]
    if not ended:
        return totals
    at = [stretches[index] for _, index in ended]
    measures = ending.measure(
        bundle.ending,
        counts[[row for row, _ in ended]],
        unknown=[s.state.unknown + events_of(s).count(0) for s in at],
        excess=[s.state.excess_sum for s in at],
        events=[s.state.number + len(events_of(s)) + (not s.cut_off) for s in at],
        pairs=[s.state.new_pairs for s in at],
        calibration=session,
    )
    for (_, index), measured in zip(ended, measures, strict=True):
        stretch = stretches[index]
        if stretch.cut_off:
            totals[index] = ending.so_far(measured, session)
        else:
            totals[index] = _read_again(stretch, ending.total(measured, session), bundle)
    return totals


def _kept_tokens(stretch: Stretch, bundle: Bundle) -> bytes:
    """The newest tokens of the session; none where nobody will read them."""
    return b"" if bundle.reader is None else with_tokens(read_tokens(stretch.state), events_of(stretch))


def _read_again(stretch: Stretch, first: float, bundle: Bundle) -> float:
    """The score of a closed session, read again where it looks strange and the bundle has a second reader."""
    reader, state = bundle.reader, stretch.state
    if reader is None or first < reader.calibration.bar:
        return first
    events = state.number + len(events_of(stretch))
    stretch.reading = read_again(reader, tokens_of(read_tokens(state)), events, first)
    return stretch.reading.score


def _add_counts(counts: np.ndarray, stretches: list[Stretch], session: SessionCalibration) -> None:
    """Count the new events in their slots, [B,64], up to what 16 bits hold."""
    slots = np.array(session.slots, np.int64)
    tokens = [events_of(stretch) for stretch in stretches]
    rows = np.repeat(np.arange(len(stretches)), [len(t) for t in tokens])
    flat = np.array(list(chain.from_iterable(tokens)), np.int64)
    known = flat > 1
    added = np.bincount(rows[known] * SLOTS + slots[flat[known]], minlength=counts.size)
    room = np.iinfo(np.uint16).max - counts
    counts += np.minimum(added.reshape(counts.shape), room).astype(np.uint16)


def _add_pairs(stretches: list[Stretch], bundle: Bundle, session: SessionCalibration) -> None:
    """Count the pairs of neighbouring events, start and end included, that training never saw."""
    before = [s.state.last_token if s.state.number else END for s in stretches]
    rows = [_with_end(stretch) for stretch in stretches]
    new = count_new(bundle.pairs, before, rows, len(session.slots))
    for stretch, count in zip(stretches, new, strict=True):
        stretch.state.new_pairs += count
