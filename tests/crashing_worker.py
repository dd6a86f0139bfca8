"""`tailrace` in which one record ends the process, as a fault in a library would.

`python -m tests.crashing_worker worker --config FILE`; what ends it is a message that holds POISON.
"""

import os
import signal
from collections.abc import Iterable

from detector.cli.__main__ import main
from detector.stages.parse.parse import Parser

POISON = b"poison"

_match_all = Parser.match_all


def _killed_by_poison(parser: Parser, messages: Iterable[bytes]) -> list[int]:
    listed = list(messages)
    if any(POISON in message for message in listed):
        os.kill(os.getpid(), signal.SIGKILL)
    return _match_all(parser, listed)


if __name__ == "__main__":
    Parser.match_all = _killed_by_poison  # type: ignore[method-assign,assignment]
    main()
