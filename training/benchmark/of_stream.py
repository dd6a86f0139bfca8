"""Every kind of detector over a stream that does not end. Reads and writes files."""

import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from training.benchmark.data.description import Named, Stream
from training.benchmark.data.stream import Labelled, divided
from training.benchmark.detectors.reference.judging import DEEPLOG, REFERENCES, Reference
from training.benchmark.detectors.reference.judging import of_stream as of_reference
from training.benchmark.detectors.simple_stream import of_flags, simple_of_stream, tokens_of_stream
from training.benchmark.detectors.tailrace_stream import of_stream
from training.benchmark.of_sessions import bundle_of, fitting_of
from training.benchmark.order import CELLS, Asked, Detector
from training.benchmark.table.results import OfStream
from training.evaluate.baselines import Tokens


class OfStreams:
    """One stream for every kind of detector."""

    def __init__(self, named: Named, described: Stream, asked: Asked, seed: int) -> None:
        """Nothing is read before it is asked for."""
        self._name, self._described, self._asked, self._seed = named.name, described, asked, seed
        self._folder = tempfile.TemporaryDirectory(prefix="tailrace-")

    def close(self) -> None:
        """Remove the files that were written for the product to read."""
        self._folder.cleanup()

    @cached_property
    def _parts(self) -> tuple[Labelled, Labelled]:
        return divided(self._asked.data, self._described, Path(self._folder.name))

    def measure(self, detector: Detector) -> list[OfStream]:
        """The results of all detectors of one kind, at the budget that is shipped and at those asked for."""
        train, test = self._parts
        budgets = [None, *self._asked.budgets]
        if detector in ("reader", "ablations"):
            return []  # they are of sessions
        if detector == "simple":
            return list(simple_of_stream(self._described, train, test, budgets))
        if detector in CELLS:
            cell = CELLS[detector]
            bundle = bundle_of(self._asked.out, self._name, self._seed, cell)
            fitting = fitting_of(self._asked, cell, self._seed)
            return [of_stream(self._described, train, test, bundle, fitting, budgets)]
        references = [DEEPLOG] if detector == "deeplog" else REFERENCES
        return [self._referred(one, budgets) for one in references]

    @cached_property
    def _tokens(self) -> tuple[Tokens, Tokens]:
        return tokens_of_stream(self._described, *self._parts)

    def _referred(self, reference: Reference, budgets: Sequence[float | None]) -> OfStream:
        flags, spent = of_reference(
            reference,
            *self._tokens,
            seed=self._asked.seed_of_fit(self._seed),
            epochs=self._asked.epochs,
            device=self._asked.device,
        )
        return of_flags(reference.name, self._described, self._parts[1], flags, budgets, spent)
