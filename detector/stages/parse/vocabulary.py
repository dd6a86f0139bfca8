"""The templates that training found: plain frozen data, to and from JSON. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from typing import Any, Final

import msgspec

from detector.errors import BadSetup
from detector.records import FIRST_TEMPLATE
from detector.stages.parse.codes import Place

ID_LENGTH: Final = 12  # hex digits of the hash


@dataclass(frozen=True, slots=True)
class Template:
    """The constant part of lines; `<*>` stands for any one token."""

    tokens: tuple[str, ...]

    @property
    def text(self) -> str:
        """The masked text as people see it."""
        return " ".join(self.tokens)

    @property
    def id(self) -> str:
        """A hash of the text: the same template has the same id in every bundle."""
        return sha256(self.text.encode()).hexdigest()[:ID_LENGTH]


@dataclass(frozen=True, slots=True)
class Codes:
    """Numbers of a template's lines that tell events apart, and the values that training saw of each."""

    template: int  # index in the vocabulary
    places: tuple[Place, ...]
    values: tuple[tuple[str, ...], ...]  # of each place

    def combinations(self) -> Iterator[tuple[str, ...]]:
        """Each of them is an event of its own."""
        return product(*self.values)

    def text(self, values: tuple[str, ...]) -> str:
        """What is put behind a template's text where the codes have these values."""
        pairs = (f"{place.text}={value}" for place, value in zip(self.places, values, strict=True))
        return "{" + ", ".join(pairs) + "}"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every template, in the order of their tokens, then the events that codes make of some of them.

    `exact`: a template is a whole line or field.
    """

    templates: tuple[Template, ...]
    exact: bool = False
    codes: tuple[Codes, ...] = ()
    variants: tuple[tuple[int, str], ...] = field(init=False)  # index of the template, text of the codes

    def __post_init__(self) -> None:
        """Give each combination of codes its place behind the templates."""
        made = ((codes.template, codes.text(one)) for codes in self.codes for one in codes.combinations())
        object.__setattr__(self, "variants", tuple(made))

    def template(self, token: int) -> Template | None:
        """The template of a token; None for unknown lines and the end of a sequence."""
        at = token - FIRST_TEMPLATE
        if at >= len(self.templates):
            at = self.variants[at - len(self.templates)][0]
        return self.templates[at] if at >= 0 else None

    def text(self, token: int) -> str:
        """The template's text with the codes that the event has; empty where there is no template."""
        at, template = token - FIRST_TEMPLATE - len(self.templates), self.template(token)
        if template is None:
            return ""
        return template.text if at < 0 else f"{template.text} {self.variants[at][1]}"

    def without_codes(self) -> "Vocabulary":
        """The templates alone."""
        return Vocabulary(self.templates, self.exact)

    def __len__(self) -> int:
        """How many tokens there are, unknown and end included."""
        return FIRST_TEMPLATE + len(self.templates) + len(self.variants)


def of_texts(texts: list[str], *, exact: bool = False, codes: tuple[Codes, ...] = ()) -> Vocabulary:
    """A vocabulary of masked texts, or of whole events where it is exact."""
    split = ((text,) if exact else tuple(text.split(" ")) for text in dict.fromkeys(texts))
    return Vocabulary(tuple(map(Template, split)), exact, codes)


def to_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """The vocabulary as plain JSON."""
    rows = [{"id": template.id, "text": template.text} for template in vocabulary.templates]
    codes = [
        {"template": one.template, "places": [list(place) for place in one.places], "values": one.values}
        for one in vocabulary.codes
    ]
    return {"exact": vocabulary.exact, "templates": rows, "codes": codes}


class _Row(msgspec.Struct):
    id: str
    text: str


class _Codes(msgspec.Struct, forbid_unknown_fields=True):
    template: int
    places: list[tuple[str, int]]
    values: list[list[str]]


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    exact: bool
    templates: list[_Row]
    codes: list[_Codes] = []


def from_json(data: object) -> Vocabulary:
    """The vocabulary from what `to_json` gave; raises BadSetup that names the key at fault."""
    try:
        plain = msgspec.convert(data, _Plain)
    except msgspec.ValidationError as error:
        raise BadSetup(f"templates.json: {error}; fit the bundle again") from error
    for at, one in enumerate(plain.codes):
        whole = one.values and len(one.values) == len(one.places) and all(one.values)
        if not (whole and 0 <= one.template < len(plain.templates)):
            raise BadSetup(f"templates.json: codes[{at}] is of no template; fit the bundle again")
    codes = tuple(
        Codes(one.template, tuple(Place(*place) for place in one.places), tuple(map(tuple, one.values)))
        for one in plain.codes
    )
    vocabulary = of_texts([row.text for row in plain.templates], exact=plain.exact, codes=codes)
    for at, row in enumerate(plain.templates):
        if at >= len(vocabulary.templates) or vocabulary.templates[at].id != row.id:
            raise BadSetup(
                f"templates.json: templates[{at}].id is not the hash of its text; fit the bundle again"
            )
    return vocabulary
