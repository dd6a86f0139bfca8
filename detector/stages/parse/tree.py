"""Find the template that fits masked tokens: the one with the fewest wildcards. No I/O."""

from typing import Any

from detector.records import FIRST_TEMPLATE, UNKNOWN
from detector.stages.parse.mask import WILD
from detector.stages.parse.vocabulary import Vocabulary

Node = dict[bytes | None, Any]  # children by token; under None the token of the template that ends here


class Tree:
    """The templates of a vocabulary by their number of tokens, then token by token."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Index every template."""
        self._exact: dict[bytes, int] = {}
        self._roots: dict[int, Node] = {}
        for at, template in enumerate(vocabulary.templates):
            self._exact.setdefault(template.text.encode(), FIRST_TEMPLATE + at)
            tokens = template.text.encode().split()
            node = self._roots.setdefault(len(tokens), {})
            for token in tokens:
                node = node.setdefault(token, {})
            node.setdefault(None, FIRST_TEMPLATE + at)

    def exact(self, text: bytes) -> int:
        """The token of a template with exactly this text."""
        return self._exact.get(text, UNKNOWN)

    def find(self, tokens: list[bytes]) -> int:
        """The token of the template with the fewest wildcards that fits; UNKNOWN where none does.

        Breadth first: the work is bounded by the number of templates of this length, whatever the line.
        """
        paths = [(0, self._roots.get(len(tokens), {}))]
        for token in tokens:
            longer = []
            for wilds, node in paths:
                if token != WILD and (child := node.get(token)) is not None:
                    longer.append((wilds, child))
                if (child := node.get(WILD)) is not None:
                    longer.append((wilds + (token != WILD), child))
            paths = longer
        ends = [(wilds, node[None]) for wilds, node in paths if None in node]
        return min(ends)[1] if ends else UNKNOWN
