"""Match messages against a frozen vocabulary: bytes in, token out. No I/O.

Memories of shapes and tokens only save work: what a line matches depends on nothing but the line
and the vocabulary.
"""

from collections.abc import Iterable, Sequence

from detector.records import FIRST_TEMPLATE, UNKNOWN
from detector.stages.header.header import Cut, Headers
from detector.stages.header.shape import LONGEST_LINE, LONGEST_REMEMBERED, REMEMBERED, SHAPE, shape_of
from detector.stages.parse.codes import places_of
from detector.stages.parse.mask import LONGEST_PATTERN, MaskMemory, settle
from detector.stages.parse.parameters import parameters_of
from detector.stages.parse.tree import Tree
from detector.stages.parse.vocabulary import Codes, Vocabulary


class Parser:
    """Templates of messages. One thread at a time: it keeps memories."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Build the matcher of a vocabulary."""
        self.vocabulary = vocabulary
        self._tree = Tree(vocabulary)
        self._masks = MaskMemory()
        self._masked: dict[bytes, int] = {}
        self._remember_templates()
        self._shapes = _TokensByShape(self)
        self._coded = _coded(vocabulary)

    def match(self, message: bytes) -> int:
        """The token of a message; UNKNOWN where no template fits, or a code is none that training saw."""
        if self.vocabulary.exact:
            return self._tree.exact(message)
        token = self._shapes[shape_of(message)]
        return self._coded[token].token(message) if token in self._coded else token

    def match_all(self, messages: Iterable[bytes]) -> list[int]:
        """`match` for each message."""
        if self.vocabulary.exact:
            return list(map(self._tree.exact, messages))
        messages = list(messages)
        shapes = [message[:LONGEST_LINE].translate(SHAPE) for message in messages]
        tokens = list(map(self._shapes.__getitem__, shapes))
        if self._coded:
            for at, token in enumerate(tokens):
                if token in self._coded:
                    tokens[at] = self._coded[token].token(messages[at])
        return tokens

    def match_shape(self, shape: bytes) -> int:
        """The token of a shape, worked out without the memory of shapes."""
        masked = b" ".join(map(self._masks.__getitem__, shape.split()))
        token = self._masked.get(masked)
        if token is None:
            if len(self._masked) >= REMEMBERED:
                self._masked.clear()
            token = self._tree.find(settle(masked).split())
            if len(masked) <= LONGEST_REMEMBERED:
                self._masked[masked] = token
        return token

    def pattern(self, message: bytes) -> str:
        """The masked text of a message, cut to LONGEST_PATTERN: what names an unknown line."""
        if self.vocabulary.exact:
            return message[: LONGEST_PATTERN * 4].decode("utf-8", "replace")[:LONGEST_PATTERN]
        coded = self._coded.get(self._shapes[shape_of(message)])
        if coded is not None:
            return coded.pattern(message)
        return self.masked(message).decode("utf-8", "replace")[:LONGEST_PATTERN]

    def masked(self, message: bytes) -> bytes:
        """The whole masked text of a message."""
        return settle(b" ".join(map(self._masks.__getitem__, shape_of(message).split())))

    def parameters(self, message: bytes, token: int) -> list[str]:
        """What stands in a message for each `<*>` of the token's template."""
        template = self.vocabulary.template(token)
        if template is None or self.vocabulary.exact:
            return []
        return parameters_of(template.text, message)

    def _remember_templates(self) -> None:
        """Work out beforehand what most lines will ask for."""
        if not self.vocabulary.exact:
            for template in self.vocabulary.templates:
                self.match_shape(shape_of(template.text.encode()))


class _Coded:
    """The events that codes make of one template."""

    def __init__(
        self, vocabulary: Vocabulary, codes: Codes, first: int, spans: dict[bytes, tuple[slice, ...]]
    ) -> None:
        self._codes = codes
        self._base = FIRST_TEMPLATE + codes.template
        self._text = vocabulary.templates[codes.template].text
        combinations = (" ".join(values).encode() for values in codes.combinations())
        self._tokens = {values: token for token, values in enumerate(combinations, first)}
        self._spans = spans  # by shape, and a shape is of one template

    def token(self, message: bytes) -> int:
        """The token by a message's codes; the template's own where it does not show them all."""
        spans = self._spans_of(message[:LONGEST_LINE].translate(SHAPE))
        if len(spans) == 1:
            return self._tokens.get(message[spans[0]], UNKNOWN)
        if not spans:
            return self._base
        return self._tokens.get(b" ".join([message[span] for span in spans]), UNKNOWN)

    def pattern(self, message: bytes) -> str:
        """What names a message that has a code which training never saw."""
        spans = self._spans_of(shape_of(message))
        codes = self._codes.text(tuple(message[span].decode() for span in spans))
        return f"{self._text[: max(0, LONGEST_PATTERN - len(codes) - 1)]} {codes}"[:LONGEST_PATTERN]

    def _spans_of(self, shape: bytes) -> tuple[slice, ...]:
        spans = self._spans.get(shape)
        if spans is None:
            places = places_of(shape)
            shown = all(place in places for place in self._codes.places)
            spans = tuple(slice(*places[place]) for place in self._codes.places) if shown else ()
            if len(self._spans) >= REMEMBERED:
                self._spans.clear()
            if len(shape) <= LONGEST_REMEMBERED:
                self._spans[shape] = spans
        return spans


def _coded(vocabulary: Vocabulary) -> dict[int, _Coded]:
    """By the token of the template."""
    spans: dict[bytes, tuple[slice, ...]] = {}
    coded, first = dict[int, _Coded](), FIRST_TEMPLATE + len(vocabulary.templates)
    for codes in vocabulary.codes:
        coded[FIRST_TEMPLATE + codes.template] = _Coded(vocabulary, codes, first, spans)
        first += sum(1 for _ in codes.combinations())
    return coded


class _TokensByShape(dict[bytes, int]):
    """Tokens by the shape of the message."""

    def __init__(self, parser: Parser) -> None:
        super().__init__()
        self._parser = parser

    def __missing__(self, shape: bytes) -> int:
        token = self._parser.match_shape(shape)
        if len(shape) <= LONGEST_REMEMBERED:
            if len(self) >= REMEMBERED:
                self.clear()
            self[shape] = token
        return token


class LineParser:
    """Raw lines in, tokens and cuts out, with one memory for both."""

    def __init__(self, headers: Headers, parser: Parser) -> None:
        """Headers split what the parser then matches."""
        self._parser = parser
        self._lines = _Lines(headers, parser)
        self._digits_matter = parser.vocabulary.exact or bool(parser.vocabulary.codes)

    def parse(self, line: bytes) -> tuple[int, Cut]:
        """The token of a line's message, and where its parts lie."""
        return self.parse_all([line])[0]

    def parse_all(self, lines: Sequence[bytes]) -> list[tuple[int, Cut]]:
        """`parse` for each line."""
        shapes = [line[:LONGEST_LINE].translate(SHAPE) for line in lines]
        parsed = list(map(self._lines.__getitem__, shapes))
        if not self._digits_matter:
            return parsed
        match = self._parser.match
        return [(match(line[cut.message :]), cut) for line, (_, cut) in zip(lines, parsed, strict=True)]


class _Lines(dict[bytes, tuple[int, Cut]]):
    """Tokens and cuts by the shape of the line."""

    def __init__(self, headers: Headers, parser: Parser) -> None:
        super().__init__()
        self._cut = headers.cut
        self._match = parser.match_shape

    def __missing__(self, shape: bytes) -> tuple[int, Cut]:
        cut = self._cut(shape)
        parsed = self._match(shape[cut.message :]), cut
        if len(shape) <= LONGEST_REMEMBERED:
            if len(self) >= REMEMBERED:
                self.clear()
            self[shape] = parsed
        return parsed
