"""What a failure of Kafka's client means to people, and what mends it. No I/O."""

from typing import Final, Literal

from aiokafka import errors

from detector.errors import BadSetup, Stuck, TailraceError, Unavailable
from detector.inputs.kafka.connection import Connection

Doing = Literal["READ", "WRITE", "DESCRIBE", "CREATE"]

SEE: Final = "give it that right, docs/kafka.md has the commands"


def explained(error: BaseException, connection: Connection, doing: Doing = "READ") -> BaseException:
    """The error that says what to do; `doing` is what was being done to a topic.

    One that nobody foresaw is given back as it is.
    """
    if isinstance(error, TailraceError):
        return error
    refused = refusal(error, connection, doing)
    if refused is not None:
        return refused
    if isinstance(error, errors.OffsetOutOfRangeError):
        return Stuck(
            f"the log no longer holds what was to be read next ({error}): ending, a new start counts it"
        )
    if isinstance(error, errors.KafkaError):
        return Unavailable(f"Kafka at {connection.names} cannot be used: {error or type(error).__name__}")
    return error


def refusal(error: BaseException, connection: Connection, doing: Doing = "READ") -> BadSetup | None:
    """What the configuration or the user's rights lack, None where the error is another."""
    sentence: str | None
    match error:
        case errors.TopicAuthorizationFailedError():
            sentence = f"{connection.user} may not {doing} topic {_named(error)}: {SEE}"
        case errors.GroupAuthorizationFailedError():
            done = "DESCRIBE" if doing == "DESCRIBE" else "READ"
            sentence = f"{connection.user} may not {done} group {_named(error)}: {SEE}"
        case errors.TransactionalIdAuthorizationFailed():
            sentence = f"{connection.user} may not WRITE transactional id {_named(error)}: {SEE}"
        case errors.ClusterAuthorizationFailedError():  # asked for the number of a producer
            sentence = f"{connection.user} may not WRITE any topic: {SEE}"
        case errors.SaslAuthenticationFailed():
            sentence = (
                f"the user or the password is refused (kafka.sasl_mechanism is {connection.sasl_mechanism}): "
                "correct kafka.username and kafka.password or password_file"
            )
        case errors.UnsupportedSaslMechanismError():
            sentence = f"nobody can log in by {connection.sasl_mechanism} there: correct kafka.sasl_mechanism"
        case errors.IllegalSaslStateError():
            sentence = "nobody logs in there: remove kafka.sasl_mechanism, or name the port for logins"
        case errors.InvalidSessionTimeoutError():
            sentence = (
                "no session may be as short or long there: correct kafka.session_timeout_s, or "
                "group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers"
            )
        case errors.InconsistentGroupProtocolError():
            sentence = "another program uses the group, and shares it out in its own way: change kafka.group"
        case _:
            cause = error.__cause__
            return None if cause is None else refusal(cause, connection, doing)
    return BadSetup(f"Kafka at {connection.names}: {sentence}")


def _named(error: errors.KafkaError) -> str:
    """The resources that an error of aiokafka is about: one, or a set of them."""
    named = [
        str(name) for one in error.args for name in ([one] if isinstance(one, str) else sorted(map(str, one)))
    ]
    return ", ".join(named) or "that the configuration names"
