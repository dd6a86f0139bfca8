"""Replay logs through the product's own core and keep what it said. Reads files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from detector.embedded.replay import Replay, Step
from detector.inputs.read import read_feed
from detector.records import Alert, ClosedSource
from detector.shard.core import Core, Rules, build
from training.benchmark.cost import Spent, Stopwatch

_decode = msgspec.json.Decoder(Alert)


@dataclass(frozen=True, slots=True)
class Events:
    """Every event of a replay [E] of one file; empty where nobody asked."""

    offsets: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]  # as a share of their thresholds
    flagged: npt.NDArray[np.bool_]  # are strange themselves: an alert that is firing meanwhile does not count


@dataclass(frozen=True, slots=True)
class Replayed:
    """Everything that a replay had to say."""

    closed: list[ClosedSource]
    opened: list[Alert]  # the first revision of every alert
    events: Events
    lines: int
    unknown: float  # share of the closed sources' events that match no template
    warning: str  # that the lines are not those that were trained on
    spent: Spent


def replayed(bundle: Path, paths: Sequence[str], budget: float | None, *, events: bool = False) -> Replayed:
    """Judge files by a bundle at a budget, else at the bundle's."""
    core = build(bundle, {}, Rules(budget=budget), [], want_scores=events)
    closed: list[ClosedSource] = []
    opened: list[Alert] = []
    parts: list[Events] = []
    watch = Stopwatch()
    replay = Replay(core)
    for step in _steps(core, replay, paths):
        closed += step.done.closed
        opened += [_decode.decode(one.payload) for one in step.done.revisions if one.revision == 1]
        if events:
            parts.append(_events(step))
    told = sum(one.events for one in closed)
    return Replayed(
        closed,
        opened,
        Events(
            np.concatenate([np.empty(0, np.int64), *(part.offsets for part in parts)]),
            np.concatenate([np.empty(0), *(part.scores for part in parts)]),
            np.concatenate([np.empty(0, bool), *(part.flagged for part in parts)]),
        ),
        replay.summary().lines,
        sum(one.unknown for one in closed) / max(told, 1),
        replay.strange(),
        watch.spent(),
    )


def _steps(core: Core, replay: Replay, paths: Sequence[str]) -> Iterator[Step]:
    bound = core.rules.bounds.max_line_bytes
    return replay.steps({feed.origin: read_feed(feed, max_line_bytes=bound) for feed in core.feeds(paths)})


def _events(step: Step) -> Events:
    events = step.done.events
    return Events(
        np.array([offset_of(event.position) for event in events], np.int64),
        np.array([event.score / event.threshold for event in events], np.float64),
        np.array([event.warm and event.score >= event.threshold for event in events], bool),
    )


def offset_of(position: str) -> int:
    """The offset of a position, without the place in a record."""
    return int(position.partition(":")[0])
