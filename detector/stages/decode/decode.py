"""Records to lines: envelope, header, time, source, continuation. Pure: no clock, no I/O, no environment.

Any bytes give lines, nothing (a blank line), or a Reject with its reason. What one line leaves for the next
is in DecodeMemory, so any cut of the records into batches gives the same lines.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, tzinfo

from detector.errors import BadRecord
from detector.records import Record
from detector.stages.decode import otlp, otlp_proto, syslog
from detector.stages.decode.assembly import Assembly, Decoded
from detector.stages.decode.continuation import is_rest, is_trace
from detector.stages.decode.entry import Entry, cleaned, first_line, unmarked
from detector.stages.decode.envelope import Envelope, parsed
from detector.stages.decode.fields import Object
from detector.stages.decode.memory import DecodeMemory
from detector.stages.decode.plain import Heading, PlainReader
from detector.stages.decode.settings import DecodeSettings, compiled
from detector.stages.decode.source import SEARCHED_BYTES, found_in, joined, trace_name
from detector.stages.decode.stamps import Stamps
from detector.stages.header.header import Headers
from detector.stages.header.timestamp import DAY_US, PAST_US

_MARKS = frozenset(b"\xef\xfe\xff")
_UNUSUAL = _MARKS | frozenset(b" \t\v\f\n{<")
_OBJECT_LIKE = re.compile(rb'\{\s*"')


class Decoder:
    """Decodes batches; holds compiled settings and caches that change no output."""

    def __init__(self, settings: DecodeSettings, headers: Headers, zone: tzinfo = UTC) -> None:
        """Prepare the settings; `zone` is that of the times that name none.

        Raises:
            BadSetup: a regular expression of the settings is none.
        """
        self._settings = settings
        self._auto = settings.envelope == "auto"
        self._is_text = settings.envelope in {"auto", "text"}
        self._unheaded_continues = settings.unheaded_continues
        self._source_fields = settings.source_fields
        self._names_sessions = settings.names_sessions
        self._source_regex = compiled("source_regex", settings.source_regex)
        self._trace_regex = compiled("trace_regex", settings.trace_regex)
        self._first_line = compiled("first_line", settings.first_line)
        self._stamp = Stamps(zone).in_field
        self._plain = PlainReader(headers, Stamps(zone))
        self._envelope = Envelope(settings, self._stamp)

    def decode(self, records: Iterable[Record], memory: DecodeMemory) -> Decoded:
        """The lines of the records, in order, and the memory that the next batch starts from."""
        out = Assembly(self._settings, memory)
        for record in records:
            out.turn_to(record)
            self._record(record, out)
        return out.decoded()

    def _record(self, record: Record, out: Assembly) -> None:
        raw = record.value.rstrip()
        if b"\0" in raw or b"\x1b" in raw:
            raw = cleaned(raw).rstrip()
        if not raw:
            out.blank()
            return
        if len(raw) > self._settings.max_line_bytes:
            # A feed cuts what is too long, but says where it ended; the line's own end is not counted.
            length = max(len(raw), record.end - record.offset - 1)
            out.reject(_too_long(length, self._settings.max_line_bytes))
            return
        if raw[0] in _UNUSUAL:
            self._unusual(record, raw, out)
        elif self._is_text:
            self._text(raw, out)
        else:
            self._required(record, raw, out)

    def _unusual(self, record: Record, raw: bytes, out: Assembly) -> None:
        """A line that starts with white space, a byte order mark, `{` or `<`; a batch with a line feed."""
        if raw[0] in _MARKS:
            raw = unmarked(raw)
        bare = raw.lstrip()
        if not bare:
            out.blank()
        elif not self._auto:
            self._text(raw, out) if self._is_text else self._required(record, bare, out)
        elif raw[0] == otlp_proto.BEGINNING and otlp_proto.may_be(record.value):
            self._octets(record.value, out)
        elif bare[:1] == b"{":
            self._maybe_json(raw, bare, out)
        elif syslog.PRIORITY.match(bare):
            self._syslog(bare, out)
        else:
            self._text(raw, out)

    def _octets(self, value: bytes, out: Assembly) -> None:
        """A batch in protobuf, which is read as it came: what is blank in text counts in it."""
        if len(value) > self._settings.max_line_bytes:
            out.reject(_too_long(len(value), self._settings.max_line_bytes))
            return
        try:
            self._batch(otlp_proto.logs(value), out)
        except BadRecord as error:
            out.reject(str(error))

    def _required(self, record: Record, raw: bytes, out: Assembly) -> None:
        """A record that must be of the envelope that the settings name."""
        if self._settings.envelope == "otlp_proto":
            self._octets(record.value, out)
            return
        try:
            if self._settings.envelope == "json":
                self._object(parsed(raw), out)
            else:
                self._syslog(raw, out)
        except BadRecord as error:
            out.reject(str(error))

    def _maybe_json(self, raw: bytes, bare: bytes, out: Assembly) -> None:
        """An object, or a line of text that starts like one: the records before it say which."""
        try:
            self._object(parsed(bare), out)
        except BadRecord as error:
            if out.lean > 0 or (out.lean == 0 and _OBJECT_LIKE.match(bare)):
                out.reject(str(error))
            else:
                self._text(raw, out)

    def _object(self, fields: Object, out: Assembly) -> None:
        if "resourceLogs" in fields:
            self._batch(otlp.logs(fields), out)
        else:
            self._entry(self._envelope.entry(fields, out.reference_us), -1, out)
            out.is_object()

    def _batch(self, logs: Iterator[Object], out: Assembly) -> None:
        entries = self._envelope.batch(logs, out.reference_us)  # all of the batch is sound, or none
        for sub, entry in enumerate(entries):
            if isinstance(entry, BadRecord):
                out.reject(f"log {sub} of the batch: {entry}")
            else:
                self._entry(entry, sub, out)
        out.is_object()

    def _syslog(self, raw: bytes, out: Assembly) -> None:
        near_us = out.reference_us
        if out.latest_us is not None:
            near_us = out.latest_us + DAY_US - PAST_US  # RFC 3164 has no year: none that is to come
        self._entry(syslog.entry(raw, self._stamp, near_us), -1, out)

    def _entry(self, entry: Entry, sub: int, out: Assembly) -> None:
        out.note(entry)
        message, stamp_us, level = entry.message, entry.stamp_us, entry.level
        if not entry.is_event:
            message = first_line(message) if b"\n" in message else message.strip()
            heading = self._plain.heading(message)
            if stamp_us is None:
                stamp_us = self._plain.time_us(heading, message, out.reference_us)
            level = level or heading.level
            message = message[heading.message :]
        if not message:
            out.blank()
            return
        source = self._source(entry.message, entry.source, out.origin)
        trace = entry.trace or self._trace(entry.message)
        out.line(sub, source, stamp_us, level, message, entry.text, trace)

    def _text(self, raw: bytes, out: Assembly) -> None:
        line = raw if b"\n" not in raw else first_line(raw)
        heading = self._plain.heading(line)
        if not out.has_first_line or not self._continues(line, heading, out):
            out.starts(heading.kind != "")
        elif out.continues(raw, not is_trace(line)):
            return
        name = joined(self._plain.named(line, self._source_fields)) if self._source_fields else ""
        stamp_us = self._plain.time_us(heading, line, out.reference_us)
        if out.latest_us is not None and stamp_us is not None:
            stamp_us = self._plain.not_after(out.latest_us, stamp_us, heading, line)
        source = self._source(raw, name, out.origin)
        out.line(-1, source, stamp_us, heading.level, line[heading.message :], raw, self._trace(raw))

    def _continues(self, line: bytes, heading: Heading, out: Assembly) -> bool:
        if self._first_line is not None:
            return self._first_line.search(line, 0, SEARCHED_BYTES) is None
        if heading.found:
            return False
        return (out.headed and self._unheaded_continues) or is_rest(line)

    def _trace(self, text: bytes) -> str:
        return "" if self._trace_regex is None else trace_name(found_in(self._trace_regex, text))

    def _source(self, text: bytes, named: str, origin: str) -> str:
        if self._source_regex is not None:
            found = found_in(self._source_regex, text)
            if found:
                return found
        return named or ("" if self._names_sessions else origin)


def _too_long(length: int, bound: int) -> str:
    return f"line of {length} bytes exceeds max_line_bytes ({bound})"
