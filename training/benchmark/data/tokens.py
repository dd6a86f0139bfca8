"""What every session's lines are to the product's own parser: the input of other detectors. Files."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.bundle import InputSettings
from detector.shard.reader import Bounds
from training.benchmark.data.labelled import Halves
from training.benchmark.data.prepared import Prepared
from training.corpus import Corpus, Learnt, gather, learn
from training.evaluate.baselines import Tokens

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Sessions as tokens; those of the test by their number."""

    train: list[Tokens]
    test: list[Tokens]  # an empty one for a session without an event
    offsets: list[Offsets]  # of each event of the test in its file
    vocabulary: int
    days: float  # that the test spans; 0 without times


def tokenised(train: Prepared, test: Prepared, settings: InputSettings, halves: Halves) -> Tokenised:
    """Learn headers and templates of what is trained on, and read everything with them."""
    learnt = learn(train.paths, settings, Bounds(), _silent)
    with tempfile.TemporaryDirectory(prefix="tailrace-") as folder:
        known, _, _ = _read(train, learnt, Path(folder) / "train", len(halves.train.names))
        judged, offsets, corpus = _read(test, learnt, Path(folder) / "test", len(halves.test.names))
        return Tokenised(known, judged, offsets, len(learnt.vocabulary), _days(corpus))


def _read(
    prepared: Prepared, learnt: Learnt, folder: Path, sessions: int
) -> tuple[list[Tokens], list[Offsets], Corpus]:
    folder.mkdir()
    corpus = gather(prepared.paths, learnt, Bounds(), folder, _silent, whole=True)
    tokens: list[Tokens] = [np.empty(0, np.int64)] * sessions
    offsets: list[Offsets] = [np.empty(0, np.int64)] * sessions
    for number, source in enumerate(corpus.sources):
        events = corpus.grouped.of(number)
        session = prepared.session_of[source]
        tokens[session] = events["token"].astype(np.int64)
        offsets[session] = events["offset"].astype(np.int64)
    return tokens, offsets, corpus


def _days(corpus: Corpus) -> float:
    if corpus.first_us is None or corpus.last_us is None:
        return 0.0
    return (corpus.last_us - corpus.first_us) / 86_400e6


def _silent(_what: str, _size: int) -> None:
    """Nobody watches."""


def tokens_of(sessions: Sequence[Tokens], chosen: npt.NDArray[np.bool_]) -> list[Tokens]:
    """The chosen ones of sessions [N]."""
    return [sessions[i] for i in np.flatnonzero(chosen).tolist()]
