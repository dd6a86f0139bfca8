"""Which lines belong to the line before them: stack traces, wrapped statements. Pure.

Nothing waits for a record to be complete: a continuation is passed on at once as a line of its own that is
evidence and no event, so that every cut into batches gives the same lines.
"""

import re

FORM_BYTES = 300  # a form is recognised within these

# Frames, causes, an exception's own line, what closes a block: Java, Python, JavaScript, Go, PHP, .NET, Rust.
_TRACE = re.compile(
    rb"""\s*(?:
     at\ (?:async\ |new\ )?[\w$.<>/@:-]+\ ?[(\[]|at\ \S+:\d+:\d+$
    |Caused\ by:|Suppressed:|\.\.\.\ \d+\ (?:more|common\ frames)
    |Traceback\ \(most\ recent\ call\ last\):|File\ "
    |During\ handling\ of\ the\ above\ exception|The\ above\ exception\ was\ the\ direct\ cause
    |goroutine\ \d+\ \[|\#?\d+:?\ +(?:0x[0-9a-f]+\ |/|\{main\})
    |(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*(?:Exception|Error|Throwable)(?::\s|:?$)
    |[\])}]+[,;]?$
    )""",
    re.VERBOSE,
)
_BLANKS = frozenset(b" \t\v\f\r\n")


def is_trace(line: bytes) -> bool:
    """Whether the line has a form that only the rest of something has."""
    return _TRACE.match(line, 0, FORM_BYTES) is not None


def is_rest(line: bytes) -> bool:
    """Whether the line (not empty) looks like the rest of the one before it."""
    return line[0] in _BLANKS or is_trace(line)
