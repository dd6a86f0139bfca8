"""Score events against the model: surprise before the event, then the hidden state after it. Pure.

Rows of many sources run together. The result is the same to the bit however rows are cut or
batched, because every row is computed alone inside ONNX's recurrent operators on the CPU.
"""

from itertools import chain

import msgspec
import numpy as np

from detector.bundle import Floats, StepModel
from detector.records import END
from detector.stages.surprise import Row, RowScore

MAX_HOLDS = 3  # in a row; a fourth surprise is a new habit and enters the hidden state
LONGEST_RUN = 512  # steps of one run; bounds memory at [T,B,templates]
RUN_AFTER_HOLD = 32  # steps tried behind a held event, doubled each time
LONGEST_LEAD = 64  # steps that are run again for a held event
RUN_CELLS = 16_384  # T x B of one run

_NOTHING = np.empty(0, np.float32)


class _Progress(msgspec.Struct, gc=False):
    """How far a row has come."""

    row: Row
    score: RowScore
    done: int = 0  # events scored
    lead: list[int] = []  # scored tokens that the hidden state has not seen yet
    run: int = LONGEST_RUN

    def next_tokens(self) -> list[int]:
        """The tokens of the next run: the lead again, then new ones."""
        if len(self.lead) > LONGEST_LEAD:
            return self.lead
        return self.lead + self.row.tokens[self.done : self.done + self.run]


def score_rows(step: StepModel, rows: list[Row], hold_bits: float) -> list[RowScore]:
    """Score each row; an event over `hold_bits` leaves the hidden state as it was before it."""
    progress = [_start(row) for row in rows]
    pending = progress
    while pending:
        for bucket in _buckets(pending):
            _run(step, bucket, hold_bits)
        pending = [p for p in pending if p.done < len(p.row.tokens) or p.lead]
    return [p.score for p in progress]


def expected(step: StepModel, row: Row, score: RowScore, index: int) -> list[tuple[int, float]]:
    """The likeliest tokens in place of event `index`, with probabilities."""
    held = set(score.held)
    tokens = [t for i, t in enumerate(row.tokens[:index]) if i not in held]
    tokens.append(row.tokens[index])
    hidden = row.hidden
    while len(tokens) > LONGEST_RUN:
        run, tokens = np.array(tokens[:LONGEST_RUN], np.int64), tokens[LONGEST_RUN:]
        hidden = step.run(run[:, None], np.array([LONGEST_RUN], np.int32), hidden[None, :])[2][0]
    likely, probability = step.expected(np.array(tokens, np.int64), hidden)
    return [(token, round(p, 4)) for token, p in zip(likely, probability, strict=True)]


def _start(row: Row) -> _Progress:
    return _Progress(row, RowScore(_NOTHING, _NOTHING, row.hidden, row.holds, []))


def _buckets(pending: list[_Progress]) -> list[list[tuple[_Progress, list[int]]]]:
    """Rows of like length together, so that little of a run is padding."""
    runs = sorted(((p, p.next_tokens()) for p in pending), key=lambda run: len(run[1]))
    buckets: list[list[tuple[_Progress, list[int]]]] = []
    longest = 0
    for run in runs:
        if not buckets or len(run[1]) > longest or len(buckets[-1]) * longest >= RUN_CELLS:
            buckets.append([])
            longest = max(4, len(run[1]) * 3 // 2)
        buckets[-1].append(run)
    return buckets


def _run(step: StepModel, bucket: list[tuple[_Progress, list[int]]], hold_bits: float) -> None:
    lengths = np.array([len(tokens) for _, tokens in bucket], np.int32)
    tokens = np.zeros((len(bucket), int(lengths.max())), np.int64)
    mask = np.arange(tokens.shape[1]) < lengths[:, None]
    tokens[mask] = list(chain.from_iterable(run for _, run in bucket))
    hidden = np.concatenate([p.score.hidden for p, _ in bucket]).reshape(len(bucket), -1)
    surprise, entropy, hidden_out = step.run(np.ascontiguousarray(tokens.T), lengths, hidden)
    surprise, entropy = np.ascontiguousarray(surprise.T), np.ascontiguousarray(entropy.T)
    suspect = ((surprise > hold_bits) & mask & (tokens != END)).any(axis=1).tolist()
    for (progress, run), bits, spread, after, odd in zip(
        bucket, surprise, entropy, hidden_out, suspect, strict=True
    ):
        if not odd and len(run) == len(progress.row.tokens) and not progress.done:
            _accept_whole(progress, len(run), bits, spread, after)
        else:
            _accept(progress, run, bits, spread, after, odd, hold_bits)


def _accept_whole(progress: _Progress, size: int, surprise: Floats, entropy: Floats, hidden: Floats) -> None:
    """Take the scores of a row that went through in one run, as nearly all do."""
    score = progress.score
    score.surprise, score.entropy, score.hidden, score.holds = surprise[:size], entropy[:size], hidden, 0
    progress.done = size


def _accept(
    progress: _Progress,
    run: list[int],
    surprise: Floats,
    entropy: Floats,
    hidden: Floats,
    suspect: bool,
    hold_bits: float,
) -> None:
    """Take a run's scores up to the first held event."""
    lead, score = len(progress.lead), progress.score
    holding = _first_held(run, surprise, lead, score.holds, hold_bits) if suspect else None
    stop = len(run) if holding is None else holding + 1
    taken = stop - lead
    if not len(score.surprise):
        size = len(progress.row.tokens)
        score.surprise, score.entropy = np.empty(size, np.float32), np.empty(size, np.float32)
    score.surprise[progress.done : progress.done + taken] = surprise[lead:stop]
    score.entropy[progress.done : progress.done + taken] = entropy[lead:stop]
    progress.done += taken
    if holding is None:
        score.hidden = hidden
        score.holds = 0 if taken else score.holds
        progress.lead = []
        progress.run = min(LONGEST_RUN, progress.run * 2)
    else:
        score.holds = score.holds + 1 if holding == lead else 1
        score.held.append(progress.done - 1)
        progress.lead = run[:holding]
        progress.run = RUN_AFTER_HOLD


def _first_held(run: list[int], surprise: Floats, lead: int, holds: int, hold_bits: float) -> int | None:
    for index in np.flatnonzero(surprise[lead : len(run)] > hold_bits).tolist():
        if run[lead + index] != END and (index > 0 or holds < MAX_HOLDS):
            return lead + int(index)
    return None
