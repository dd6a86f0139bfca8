"""Read files of ready sequences, one session a row: `id,token token ...`. Pure."""

from collections.abc import Iterable

from detector.records import EVIDENCE_BYTES, Line, Record, Reject

MAX_REJECT_BYTES = 1024


def lines_of_rows(records: Iterable[Record]) -> tuple[list[Line], list[Reject]]:
    """A line for every token, at `offset:sub` of its row; rows without an id are put aside."""
    lines: list[Line] = []
    rejects: list[Reject] = []
    for record in records:
        name, comma, tokens = record.value.strip().partition(b",")
        if not comma or not name:
            if record.value.strip():
                reason = "a row of a sequence file is `id,token token ...`"
                rejects.append(Reject(record.origin, record.offset, reason, record.value[:MAX_REJECT_BYTES]))
            continue
        source = name.decode("utf-8", "replace")
        lines += [
            Line(record.origin, record.offset, sub, source, None, "", token, token[:EVIDENCE_BYTES])
            for sub, token in enumerate(tokens.split())
        ]
    return lines, rejects
