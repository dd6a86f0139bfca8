"""Lines as events with a token each, also those that match no template. Reads files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from detector.inputs.read import read
from detector.records import UNKNOWN, Line
from detector.shard.reader import Bounds, Reader
from detector.stages.parse.parse import Parser
from training.corpus import Learnt


@dataclass(slots=True)
class Events:
    """What training learnt, and the patterns that were met since: each has a token behind the vocabulary."""

    learnt: Learnt
    patterns: dict[str, int] = field(default_factory=dict)

    def of(self, paths: Sequence[str]) -> Iterator[tuple[Line, int]]:
        """The lines of files, one after the other, without what continues another line."""
        parser, first = Parser(self.learnt.vocabulary), len(self.learnt.vocabulary)
        reader = Reader(self.learnt.input, self.learnt.headers, Bounds())
        for path in paths:
            for records in read(path):
                lines = [line for line, _ in reader.read(path, records).lines if not line.continuation]
                tokens = parser.match_all([line.message for line in lines])
                for line, token in zip(lines, tokens, strict=True):
                    if token != UNKNOWN:
                        yield line, token
                        continue
                    pattern = parser.pattern(line.message)
                    yield line, first + self.patterns.setdefault(pattern, len(self.patterns))
