"""The templates that training found: plain frozen data, to and from JSON. No I/O."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

from detector.errors import BadSetup
from detector.records import FIRST_TEMPLATE

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
class Vocabulary:
    """Every template, in the order of their tokens. `exact`: a template is a whole line or field."""

    templates: tuple[Template, ...]
    exact: bool = False

    def template(self, token: int) -> Template | None:
        """The template of a token; None for unknown lines and the end of a sequence."""
        at = token - FIRST_TEMPLATE
        return self.templates[at] if 0 <= at < len(self.templates) else None

    def __len__(self) -> int:
        """How many tokens there are, unknown and end included."""
        return len(self.templates) + FIRST_TEMPLATE


def of_texts(texts: list[str], *, exact: bool = False) -> Vocabulary:
    """A vocabulary of masked texts, or of whole events where it is exact."""
    split = ((text,) if exact else tuple(text.split(" ")) for text in dict.fromkeys(texts))
    return Vocabulary(tuple(map(Template, split)), exact)


def to_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """The vocabulary as plain JSON."""
    rows = [{"id": template.id, "text": template.text} for template in vocabulary.templates]
    return {"exact": vocabulary.exact, "templates": rows}


class _Row(msgspec.Struct):
    id: str
    text: str


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    exact: bool
    templates: list[_Row]


def from_json(data: object) -> Vocabulary:
    """The vocabulary from what `to_json` gave; raises BadSetup that names the key at fault."""
    try:
        plain = msgspec.convert(data, _Plain)
    except msgspec.ValidationError as error:
        raise BadSetup(f"templates.json: {error}; fit the bundle again") from error
    vocabulary = of_texts([row.text for row in plain.templates], exact=plain.exact)
    for at, row in enumerate(plain.templates):
        if at >= len(vocabulary.templates) or vocabulary.templates[at].id != row.id:
            raise BadSetup(
                f"templates.json: templates[{at}].id is not the hash of its text; fit the bundle again"
            )
    return vocabulary
