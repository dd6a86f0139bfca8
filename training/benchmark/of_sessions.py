"""Every kind of detector over one split of sessions. Reads and writes files."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from training.benchmark.data.splits import Splits
from training.benchmark.detectors.ablated import ablated
from training.benchmark.detectors.fitted import Fitting
from training.benchmark.detectors.reference.judging import DEEPLOG, REFERENCES
from training.benchmark.detectors.reference.judging import of_sessions as of_references
from training.benchmark.detectors.simple_sessions import simple
from training.benchmark.detectors.tailrace_sessions import Job, scored
from training.benchmark.measures.sessions import Scored, measured
from training.benchmark.order import Asked, Detector
from training.benchmark.table.results import OfSessions
from training.model.settings import Cell


class OfSplits:
    """One split for every kind of detector."""

    def __init__(self, splits: Splits, asked: Asked) -> None:
        """Nothing is measured before it is asked for."""
        self._splits, self._asked = splits, asked

    def close(self) -> None:
        """Remove the files of the split."""
        self._splits.close()

    def measure(self, detector: Detector) -> list[OfSessions]:
        """The results of all detectors of one kind."""
        found = _scored(self._splits, detector, self._asked)
        return [measured(one, self._splits.truth, self._asked.budgets) for one in found]


def _scored(splits: Splits, detector: Detector, asked: Asked) -> Iterable[Scored]:
    seed, tokens = asked.seed_of_fit(splits.seed), splits.tokens
    match detector:
        case "tailrace":
            return [scored(_job(splits, "gru", asked))]
        case "lstm" | "rnn":
            return [scored(_job(splits, detector, asked))]
        case "reader":
            return [scored(_job(splits, "gru", asked, second_reader=True))]
        case "ablations":
            return ablated(_job(splits, "gru", asked))
        case "simple":
            return simple(tokens.train, tokens.test, seed, splits.contamination)
        case "deeplog" | "references":
            return of_references(
                [DEEPLOG] if detector == "deeplog" else REFERENCES,
                tokens.train,
                tokens.test,
                tokens.vocabulary,
                seed=seed,
                epochs=asked.epochs,
                device=asked.device,
            )


def _job(splits: Splits, cell: Cell, asked: Asked, *, second_reader: bool = False) -> Job:
    kind = f"{cell}-reader" if second_reader else cell
    kind = kind if splits.contamination <= 0 else f"{kind}-contaminated"
    return Job(
        train=splits.train,
        test=splits.test,
        settings=splits.settings,
        offsets=splits.tokens.offsets,
        bundle=bundle_of(asked.out, splits.name, splits.seed, kind),
        fitting=replace(
            fitting_of(asked, cell, splits.seed, splits.contamination), second_reader=second_reader
        ),
        budgets=asked.budgets,
    )


def fitting_of(asked: Asked, cell: Cell, seed: int, contamination: float = 0.0) -> Fitting:
    """How a bundle is fitted for a seed."""
    return Fitting(
        cell=cell,
        seed=asked.seed_of_fit(seed),
        contamination=contamination,
        budget=None,
        epochs=asked.epochs,
        hidden=asked.hidden,
        device=asked.device,
        processes=asked.processes,
    )


def bundle_of(out: Path, data_set: str, seed: int, kind: str) -> Path:
    """Where the bundle of a run is kept: variants of what is judged share it."""
    return out / "bundles" / data_set / f"seed-{seed}" / kind
