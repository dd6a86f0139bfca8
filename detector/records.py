"""The values that pass between the stages, in the order of the pipeline. No I/O.

record -> Line -> (Line, template) -> Alert. Times are microseconds since 1970 in UTC;
None where a line has none.
"""

import msgspec

UNKNOWN = 0  # token: the line matches no template
END = 1  # token: the sequence ends here
FIRST_TEMPLATE = 2  # token of the vocabulary's first template

EVIDENCE_BYTES = 300  # longest text of a line kept for evidence


class Record(msgspec.Struct, frozen=True, gc=False):
    """One thing a feed hands over: a line of a file, or a message of a topic."""

    origin: str  # file path, or topic; names the source where nothing else does
    value: bytes  # without its line end
    offset: int  # bytes into the decompressed file, or Kafka's offset
    end: int  # where the next record of this origin begins
    time_us: int | None = None  # the feed's own time stamp; None for files
    place: str = ""  # where people find it, if not at its offset: a routed record's origin


class Line(msgspec.Struct, frozen=True, gc=False):
    """One log message with where it came from.

    A continuation (stack trace, wrapped statement) belongs to the line before it of the same
    source: it is evidence and carries no token.
    """

    origin: str
    offset: int
    sub: int  # index within a record that holds several logs; -1 where it holds one
    source: str
    time_us: int | None
    level: str  # upper case; empty where none is known
    message: bytes  # what is parsed: the line without its header, or the envelope's message field
    text: bytes  # the message as people saw it, cut to EVIDENCE_BYTES
    continuation: bool = False
    place: str = ""  # the record's
    trace: str = ""  # id of the request that it was written for; empty where none is known

    @property
    def position(self) -> str:
        """`offset`, or the record's place, with `:sub` where one record holds several logs."""
        where = self.place or str(self.offset)
        return where if self.sub < 0 or ":" in where else f"{where}:{self.sub}"


class Reject(msgspec.Struct, frozen=True, gc=False):
    """A record that could not become lines, with its reason."""

    origin: str
    offset: int
    reason: str
    value: bytes  # cut to a bound that is named in the configuration


class DeadLetter(Reject, frozen=True, gc=False):
    """A record of a topic that was put aside, with all that is needed to send it on; `value` may be cut."""

    topic: str = ""
    partition: int = 0
    place: str = ""  # `topic/partition/offset` of the record that it was forwarded from, where it was
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    time_ms: int = 0  # the record's own time
    size: int = 0  # of the whole value
    error_class: str = "BadRecord"
    attempts: int = 1

    @property
    def identity(self) -> str:
        """Where the record lies, as people name it: `topic/partition/offset`."""
        return self.place or f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the value was cut off."""
        return self.size <= len(self.value)


class TemplateEvidence(msgspec.Struct, frozen=True):
    """The template of an alert's event, as the alert shows it."""

    id: str
    text: str
    parameters: list[str]
    first_seen: bool


class Expectation(msgspec.Struct, frozen=True):
    """What the model expected in place of the event."""

    template_id: str
    text: str
    probability: float


class EvidenceLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A raw line shown with an alert; role is before, event or after."""

    position: str
    text: str
    role: str
    weight: float | None = None  # of a second reader's attention, where it pointed here; else left out


class Silence(msgspec.Struct, frozen=True):
    """Why a gap is silence, as the alert shows it; how long it was in the end, the times of the alert say."""

    longest_gap_s: float  # the longest before: the source's own, or a usual source's in training if longer
    silent_after_s: float  # without a line


class SlowHop(msgspec.Struct, frozen=True):
    """The step between two sources of one trace that opened an alert, and how long it usually takes."""

    sender: str
    receiver: str
    trace: str
    took_s: float
    usual_s: float


class Attended(msgspec.Struct, frozen=True):
    """An event that a second reader's attention pointed at; its line may be no evidence any more."""

    event: int  # number within the session, from 1; the end is the one after the last
    template_id: str
    text: str
    weight: float  # share of the attention


class SecondReading(msgspec.Struct, frozen=True):
    """What a second reader made of a session before its alert went out."""

    first_score: float  # without it
    z: float  # -log10 of the share of normal sessions with such a first score that it finds stranger
    attended: list[Attended]


class Alert(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="schema",
    tag="tailrace.alert/1",
):
    """One revision of an alert as people and systems receive it; its encoded form never changes."""

    status: str  # firing | resolved
    alert_id: str
    revision: int
    source: str
    rule: str  # sequence | new-template | ended-early | silence | slow
    severity: str  # critical | error | warning | info
    opened_at: str | None  # RFC 3339, UTC
    resolved_at: str | None
    position: str
    score: float
    threshold: float
    surprise_bits: float | None
    template: TemplateEvidence | None
    expected: list[Expectation]
    lines: list[EvidenceLine]
    bundle: str
    replay: str  # the command that shows this alert again
    silence: Silence | None = None  # of the rule of that name; left out elsewhere
    hop: SlowHop | None = None  # of the rule slow; left out elsewhere
    reading: SecondReading | None = None  # of a closed session, where the bundle has a second reader


class Revision(msgspec.Struct, frozen=True, gc=False):
    """One state of an alert, frozen: what delivery sends."""

    alert_id: str
    revision: int
    payload: bytes  # an encoded Alert


class ClosedSource(msgspec.Struct, frozen=True, gc=False):
    """What a source was judged to be at its ending."""

    source: str
    first_us: int | None
    last_us: int | None
    events: int
    unknown: int
    max_surprise_bits: float
    end_surprise_bits: float | None
    score: float
    threshold: float
    anomalous: bool
    alert_ids: list[str]
    cut_off: bool = False  # the input ended while the session was probably still going on


class ScoredEvent(msgspec.Struct, frozen=True, gc=False):
    """What one event was found to be."""

    source: str
    position: str
    time_us: int | None
    token: int
    warm: bool
    surprise_bits: float
    score: float
    threshold: float
    alert_id: str  # empty where the event belongs to no alert
