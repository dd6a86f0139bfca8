"""Find the numbers that tell events apart, as a status does: few values, and no new ones. No I/O.

Memory is bounded by the shapes and places that are kept, never by the length of the stream.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from detector.records import FIRST_TEMPLATE, UNKNOWN
from detector.stages.header.shape import LONGEST_REMEMBERED, REMEMBERED, shape_of
from detector.stages.parse.codes import LONGEST_CODE, Place, places_of
from detector.stages.parse.parse import Parser
from detector.stages.parse.vocabulary import Codes, Vocabulary

MOST_VALUES: Final = 16  # of a place
MOST_COMBINATIONS: Final = 32  # of the places of a template
LEAST_SEEN: Final = 500  # times, before a place's values can be said to be all there are
NEW_SHARE: Final = 1e-3  # of values seen once: the chance that the next is new (Good 1953)
RANGE_VALUES: Final = 3  # from so many values on, those that fill a range are a quantity or an index
MOST_FORMS: Final = 10_000  # masked texts whose numbers are counted


class Values:
    """How often each value stood at a place; `varies` once there are too many, or too long ones."""

    __slots__ = ("counts", "varies")

    def __init__(self) -> None:
        """Start empty."""
        self.counts: Counter[bytes] = Counter()
        self.varies = False

    def add(self, value: bytes, times: int = 1) -> None:
        """Count a value."""
        if self.varies:
            return
        self.counts[value] += times
        if len(self.counts) > MOST_VALUES or len(value) > LONGEST_CODE:
            self.varies = True
            self.counts.clear()

    def are_codes(self) -> bool:
        """Whether these are all the values that the place has, and no quantity or index."""
        seen = self.counts.total()
        if self.varies or seen < LEAST_SEEN:
            return False
        once = sum(count == 1 for count in self.counts.values())
        numbers = [int(value) for value in self.counts]
        filled = 2 * len(numbers) > max(numbers) - min(numbers) + 1
        return once <= NEW_SHARE * seen and not (filled and len(numbers) >= RANGE_VALUES)


Spans = list[tuple[Values, slice]]


class CodeCounter:
    """Counts the numbers that stand by themselves, by the masked text of their message."""

    def __init__(self) -> None:
        """Start empty."""
        self._parser = Parser(Vocabulary(()))  # masks
        self._spans: dict[bytes, Spans] = {}
        self._forms: dict[bytes, tuple[bytes, dict[Place, Values]]] = {}  # by masked text, with a shape of it
        self._too_many = False

    def add(self, messages: Iterable[bytes]) -> None:
        """Count the numbers of messages."""
        for message in messages:
            shape = shape_of(message)
            spans = self._spans.get(shape)
            if spans is None:
                spans = self._remember(shape)
            for values, span in spans:
                values.add(message[span])

    def _remember(self, shape: bytes) -> Spans:
        spans = self._look_up(shape)
        if len(self._spans) >= REMEMBERED:
            self._spans.clear()
        if len(shape) <= LONGEST_REMEMBERED:
            self._spans[shape] = spans
        return spans

    def _look_up(self, shape: bytes) -> Spans:
        places = places_of(shape)
        if not places:
            return []
        masked = self._parser.masked(shape)
        form = self._forms.get(masked)
        if form is None:
            if len(self._forms) >= MOST_FORMS:
                self._too_many = True
                return []
            form = self._forms[masked] = (shape, {})
        return [(form[1].setdefault(place, Values()), slice(*span)) for place, span in places.items()]

    def codes(self, vocabulary: Vocabulary) -> tuple[Codes, ...]:
        """The codes of each template that has any, in the order of the templates.

        None where there are more forms than are counted: any of them could have other values.
        """
        if self._too_many:
            return ()
        parser = Parser(vocabulary)
        templates: dict[int, list[dict[Place, Values]]] = {}
        for shape, places in self._forms.values():
            templates.setdefault(parser.match(shape), []).append(places)
        templates.pop(UNKNOWN, None)
        return tuple(_codes(vocabulary, templates))


def _codes(vocabulary: Vocabulary, templates: dict[int, list[dict[Place, Values]]]) -> Iterator[Codes]:
    for token in sorted(templates):
        text = vocabulary.text(token)  # a word that varies is no place
        places = {place: values for place, values in _joined(templates[token]).items() if place.word in text}
        kept = sorted(
            ((place, values) for place, values in places.items() if values.are_codes()),
            key=lambda one: (len(one[1].counts), one[0]),
        )
        size, chosen = 1, list[tuple[Place, Values]]()
        for place, values in kept:
            if size * len(values.counts) <= MOST_COMBINATIONS:
                size *= len(values.counts)
                chosen.append((place, values))
        if chosen:
            each = [tuple(sorted((one.decode() for one in v.counts), key=int)) for _, v in chosen]
            yield Codes(token - FIRST_TEMPLATE, tuple(place for place, _ in chosen), tuple(each))


def _joined(forms: list[dict[Place, Values]]) -> dict[Place, Values]:
    """The values of every form of a template that has the place."""
    joined: dict[Place, Values] = {}
    for places in forms:
        for place, values in places.items():
            one = joined.setdefault(place, Values())
            one.varies |= values.varies
            for value, times in values.counts.items():
                one.add(value, times)
    return joined
