"""`tailrace` in which one record ends the process, as a fault in a library would.

`python -m tests.crashing_worker worker --config FILE`; what ends it is a message that holds POISON
when it is parsed, or one that holds BITTER when it is decoded, which is before it is routed.
"""

import os
import signal
from collections.abc import Iterable

from detector.cli.__main__ import main
from detector.records import Record
from detector.stages.decode.assembly import Decoded
from detector.stages.decode.decode import Decoder
from detector.stages.decode.memory import DecodeMemory
from detector.stages.parse.parse import Parser

POISON, BITTER = b"poison", b"bitter"

_match_all, _decode = Parser.match_all, Decoder.decode


def _killed_by_poison(parser: Parser, messages: Iterable[bytes]) -> list[int]:
    listed = list(messages)
    if any(POISON in message for message in listed):
        os.kill(os.getpid(), signal.SIGKILL)
    return _match_all(parser, listed)


def _killed_by_bitter(decoder: Decoder, records: Iterable[Record], memory: DecodeMemory) -> Decoded:
    listed = list(records)
    if any(BITTER in record.value for record in listed):
        os.kill(os.getpid(), signal.SIGKILL)
    return _decode(decoder, listed, memory)


if __name__ == "__main__":
    Decoder.decode = _killed_by_bitter  # type: ignore[method-assign,assignment]
    Parser.match_all = _killed_by_poison  # type: ignore[method-assign,assignment]
    main()
