"""Mine templates: Drain3 collects the masked lines, evidence merges them. No I/O.

Memory is bounded whatever the stream: by the shapes and patterns that are kept, never by its length.
"""

from collections.abc import Iterable
from typing import Final

from drain3.drain import Drain

from detector.records import UNKNOWN
from detector.stages.header.shape import LONGEST_REMEMBERED, REMEMBERED, shape_of
from detector.stages.parse.parse import Parser
from detector.stages.parse.vocabulary import Vocabulary, of_texts
from training.parse.merge import WILD, Pattern, merge
from training.parse.protected import signature

MOST_PATTERNS: Final = 10_000  # kept before they are merged to make room
SIMILARITY: Final = 0.95  # only long lines with one differing word meet in a cluster of Drain's
_ANY: Final = "<any>"  # Drain's own wildcard; a mask is a word to it, or no masked line would be similar


class TemplateMiner:
    """Collects patterns from messages, in bounded memory."""

    def __init__(self, most_patterns: int = MOST_PATTERNS) -> None:
        """At most twice `most_patterns` are kept: what earlier merges left, and what came since."""
        self.dropped = 0  # messages and patterns that found no room
        self._most = most_patterns
        self._shapes: set[bytes] = set()
        self._drain = _miner()
        self._known = Parser(Vocabulary(()))  # masks, and finds what earlier merges cover
        self._merged: list[Pattern] = []
        self._seen: set[str] = set()

    def add(self, messages: Iterable[bytes]) -> None:
        """Learn from messages; those of a known shape cost next to nothing."""
        for message in messages:
            shape = shape_of(message)
            if shape in self._shapes:
                continue
            if len(shape) <= LONGEST_REMEMBERED:
                if len(self._shapes) >= REMEMBERED:
                    self._shapes.clear()
                self._shapes.add(shape)
            self._add(shape)

    def vocabulary(self) -> Vocabulary:
        """The templates of everything added so far."""
        return of_texts([" ".join(pattern) for pattern in self._merge()])

    def _add(self, shape: bytes) -> None:
        text = self._known.masked(shape).decode("utf-8", "replace")
        if text in self._seen or (self._merged and self._known.match(shape) != UNKNOWN):
            return
        if len(self._seen) >= self._most:
            self._make_room()
        tokens = tuple(text.split())
        if len(self._seen) >= self._most:
            self.dropped += 1
            return
        self._seen.add(text)
        # Drain parts its clusters by the first words: opposites never meet.
        self._drain.add_log_message(f"={signature(tokens)} {text}")

    def _patterns(self) -> list[Pattern]:
        clusters = [cluster.log_template_tokens[1:] for cluster in self._drain.clusters]
        return [tuple(WILD if token == _ANY else token for token in tokens) for tokens in clusters]

    def _merge(self) -> list[Pattern]:
        return merge([*self._merged, *self._patterns()])

    def _make_room(self) -> None:
        """Keep what evidence merged so far; only what it does not cover needs room from now on."""
        if len(self._merged) >= self._most:
            return
        merged = self._merge()
        self._merged = merged[: self._most]
        self.dropped += len(merged) - len(self._merged)
        self._known = Parser(of_texts([" ".join(pattern) for pattern in self._merged]))
        self._drain = _miner()
        self._seen.clear()


def _miner() -> Drain:
    return Drain(
        depth=10,
        sim_th=SIMILARITY,
        max_children=1000,
        param_str=_ANY,
        parametrize_numeric_tokens=False,
    )
