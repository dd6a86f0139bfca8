"""Run a command line: errors become one sentence and an exit code. Writes to standard error."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cyclopts import App, CycloptsError

from detector.cli.options import STDIN, STDIN_WORD
from detector.errors import TailraceError

EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_BUG, EXIT_INTERRUPTED = 2, 4, 70, 130
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES}


def run(app: App, arguments: Sequence[str], elsewhere: Mapping[str, str] = NOTHING) -> int:
    """Run a command and return its exit code; a traceback is shown with `--debug` alone.

    `elsewhere` has commands that people look for here, and the program that has them.
    """
    if arguments and (program := elsewhere.get(arguments[0])):
        hint = f"`{program} {arguments[0]} --help` shows how it is used"
        return _fail(
            app.name[0], f"{arguments[0]} is a command of {program}: {hint}", EXIT_USAGE, debug=False
        )
    debug = "--debug" in arguments
    words = [STDIN_WORD if word == STDIN else word for word in arguments if word != "--debug"]
    try:
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is wrong with us, and Python must not flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except SystemExit as stop:
        # So rich ends the program when whoever read its output has gone; 1 would mean something was found.
        return 128 + signal.SIGPIPE if stop.code == 1 else int(stop.code or 0)
    except Exception as error:  # noqa: BLE001  the last line of defence: says what is wrong, and ends
        sentence, code = _explained(error)
        return _fail(app.name[0], sentence, code, debug)
    return code if isinstance(code, int) else 0


def _explained(error: Exception) -> tuple[str, int]:
    """What an error says, and its exit code."""
    match error:
        case CycloptsError():
            return f"{error} (see --help)", EXIT_USAGE
        case TailraceError():
            return str(error), error.exit_code
        case OSError() if error.errno in _DISK_FAULTS:
            name = error.filename or "an output"
            return f"{name} cannot be written: {error.strerror}; see to its disk", EXIT_UNAVAILABLE
    return f"a bug, please report it: {error!r} (--debug shows where)", EXIT_BUG


def _fail(program: str, sentence: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"{program}: {sentence.strip()}\n")
    return code
