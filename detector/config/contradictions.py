"""What is right by itself and wrong beside another option. Pure.

They are looked for beside the checks of single options, not after them: one look has to show all.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, NamedTuple

from detector.config.environment import Loc
from detector.config.options import KafkaAt, Settings


class _Rule(NamedTuple):
    """Keys of [kafka] that cannot stand beside each other as they do."""

    keys: tuple[str, ...]  # where one of them is wrong anyway, nothing can be said
    is_broken: Callable[[KafkaAt], bool]
    sentence: str


_LOGIN = ("sasl_mechanism", "username", "password")
_KAFKA: Final = (
    _Rule(
        _LOGIN,
        lambda kafka: bool(kafka.sasl_mechanism) and not (kafka.username and kafka.password),
        "sasl_mechanism needs a username and a password: set both",
    ),
    _Rule(
        _LOGIN,
        lambda kafka: bool(kafka.username or kafka.password) and not kafka.sasl_mechanism,
        "a username or password needs a way to log in: set sasl_mechanism",
    ),
    _Rule(
        ("sasl_mechanism", "tls"),
        lambda kafka: kafka.sasl_mechanism == "PLAIN" and not kafka.tls,
        "PLAIN sends the password as it is: set tls, or use SCRAM-SHA-512",
    ),
    _Rule(
        ("tls", "ca_file", "cert_file", "key_file"),
        lambda kafka: not kafka.tls and bool(kafka.ca_file or kafka.cert_file or kafka.key_file),
        "certificates need tls: set it",
    ),
    _Rule(
        ("cert_file", "key_file"),
        lambda kafka: bool(kafka.key_file) and not kafka.cert_file,
        "a key_file needs the certificate that it belongs to: set cert_file",
    ),
)


def contradictions(settings: Settings, names: Iterable[str], wrong: Collection[Loc]) -> Iterator[str]:
    """A line for each; `names` are those of all receivers, `wrong` the options that are so by themselves."""
    for rule in _KAFKA:
        if rule.is_broken(settings.kafka) and not any(("kafka", key) in wrong for key in rule.keys):
            yield f"kafka: {rule.sentence}"
    known = list(names)
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        yield f"receivers: {', '.join(twice)} names two receivers: give each its own name"
