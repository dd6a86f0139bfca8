"""Every kind of detector over a stream that does not end. Reads and writes files."""

import tempfile
from functools import cached_property
from pathlib import Path

from training.benchmark.asked import Asked, Detector
from training.benchmark.description import Named, Stream
from training.benchmark.of_sessions import bundle_of, fitting_of
from training.benchmark.results import OfStream
from training.benchmark.simple_stream import simple_of_stream
from training.benchmark.stream import Labelled, divided
from training.benchmark.tailrace_stream import of_stream
from training.model.settings import Cell

CELLS: dict[Detector, Cell] = {"tailrace": "gru", "lstm": "lstm", "rnn": "rnn"}


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
        if detector == "simple":
            return list(simple_of_stream(self._described, train, test, budgets))
        if detector in CELLS:
            cell = CELLS[detector]
            bundle = bundle_of(self._asked.out, self._name, self._seed, cell)
            fitting = fitting_of(self._asked, cell, self._seed)
            return [of_stream(self._described, train, test, bundle, fitting, budgets)]
        return []
