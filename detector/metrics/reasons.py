"""A few words for why a record was put aside. Pure.

A reject's own reason names sizes and places, and there is no end of those: labels must be few.
"""

import re

OTHER = "other"
# How reasons begin, and the word for each; `tests/test_counting.py` holds the decode stage to them.
_BEGINNINGS = {
    "line of ": "too-long",
    "record of ": "too-long",
    "half a JSON object": "half-json",
    "not valid JSON": "invalid-json",
    "JSON nested too deeply": "invalid-json",
    "a number in the JSON": "invalid-json",
    "JSON, but not an object": "not-an-object",
    "OTLP": "invalid-otlp",
    "not OTLP": "invalid-otlp",
    "syslog": "invalid-syslog",
    "the object has no field": "no-event-field",
    "the object holds no message": "no-message",
    "a row of a sequence file": "invalid-row",
    "the worker ended": "crash",
}
_LOG_OF_BATCH = re.compile(r"log \d+ of the batch: ")

REASONS = (*dict.fromkeys(_BEGINNINGS.values()), OTHER)


def reason_of(text: str) -> str:
    """The word for a reject's reason."""
    text = _LOG_OF_BATCH.sub("", text, count=1)
    return next((word for start, word in _BEGINNINGS.items() if text.startswith(start)), OTHER)
