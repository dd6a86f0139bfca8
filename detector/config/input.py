"""Options of where lines come from and how they are understood. No I/O."""

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from detector.config.kinds import Count, NotNegative, Pattern, Positive, Start, Zone
from detector.config.option import BUNDLE, CLOSED, say


@dataclass(frozen=True, slots=True, config=CLOSED)
class Input:
    """Where lines come from and how they are understood."""

    paths: Annotated[
        tuple[str, ...],
        say("Files, folders or globs; `-` is standard input. INPUT on the command line replaces them."),
    ] = ()
    start: Annotated[
        Start,
        say(
            "Where to begin in a file or a partition that has not been read before: `end` or `latest`, "
            "`start` or `earliest`, or for the worker a time such as `2026-11-21T09:00:00Z`."
        ),
    ] = "end"
    keyed: Annotated[
        bool,
        say(
            "Every record's key decides its partition, and all lines of a source have one key: the worker "
            "reads the topics directly. Otherwise it routes each line to `kafka.routed_topic` first."
        ),
    ] = False
    poll_s: Annotated[Positive, say("How often followed files are looked at for new lines.")] = 0.5
    envelope: Annotated[
        Literal["auto", "text", "json", "syslog", "otlp_proto"] | None,
        say(
            "What wraps a message; `auto` looks at every record. `otlp_proto` is OpenTelemetry's protobuf.",
            "the bundle's, else auto",
        ),
    ] = None
    source_fields: Annotated[
        tuple[str, ...] | None,
        say(
            "Fields of a record that together name its source, dotted where they are nested.",
            "the bundle's, else service.name with host.name, then host, then the file",
        ),
    ] = None
    source_regex: Annotated[
        Pattern | None,
        say("Names the source from the message: group 1, else the whole match.", "the bundle's, else none"),
    ] = None
    session: Annotated[
        bool | None,
        say("A source is a short life that ends (block, request, job).", "the bundle's, else false"),
    ] = None
    idle_timeout_s: Annotated[
        Positive | None,
        say(
            "A session has ended, and a long-lived source is forgotten, after this long without a line, "
            "in event time.",
            BUNDLE + "; for long-lived sources else 7 days",
        ),
    ] = None
    event_field: Annotated[
        str | None, say("Field that is the event itself, where lines are not to be parsed.", BUNDLE)
    ] = None
    message_field: Annotated[str | None, say("Field that holds the message.", "the bundle's, else found")] = (
        None
    )
    time_field: Annotated[str | None, say("Field that holds the time.", "the bundle's, else found")] = None
    level_field: Annotated[str | None, say("Field that holds the level.", "the bundle's, else found")] = None
    trace_field: Annotated[
        str | None,
        say(
            "Field that holds the id of the request or trace that a line was written for.",
            "the bundle's, else none",
        ),
    ] = None
    trace_regex: Annotated[
        Pattern | None,
        say(
            "Finds that id in the message where no field holds it: group 1, else the whole match.",
            "the bundle's, else none",
        ),
    ] = None
    timezone: Annotated[
        Zone | None, say("Time zone of time stamps that name none.", "the bundle's, else UTC")
    ] = None
    first_line_regex: Annotated[
        Pattern | None,
        say("Matches the first line of a message of several lines.", "the bundle's, else found"),
    ] = None
    rotated: Annotated[
        Literal["joined", "separate"] | None,
        say(
            "Whether `app.log.1` and `app.log` are one source in `fit` and `replay`, as they are to a "
            "`watch` that saw the rotation happen.",
            "the bundle's, else joined",
        ),
    ] = None
    max_line_bytes: Annotated[Count, say("Longer lines are put aside as rejects.")] = 1_048_576
    max_future_s: Annotated[
        NotNegative,
        say("A line dated further from those before it does not move the clock until four more agree."),
    ] = 3_600.0
    allowed_lateness_s: Annotated[
        NotNegative,
        say(
            "How much later than the newest of its file a line may come and still belong to its life; "
            "one that is later may begin a new one, and is counted."
        ),
    ] = 5.0
