"""Run a command line: errors become one sentence and an exit code. Writes to standard error."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from detector.cli.options import STDIN, STDIN_WORD
from detector.errors import TailraceError

EXIT_USAGE, EXIT_BUG, EXIT_INTERRUPTED = 2, 70, 130


def run(app: App, arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; a traceback is shown with `--debug` alone."""
    debug = "--debug" in arguments
    words = [STDIN_WORD if word == STDIN else word for word in arguments if word != "--debug"]
    try:
        code = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(app.name[0], f"{error} (see --help)", EXIT_USAGE, debug)
    except TailraceError as error:
        return _fail(app.name[0], str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is wrong with us, and Python must not flush into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001  the last line of defence: says that it is a bug, and ends
        return _fail(
            app.name[0], f"a bug, please report it: {error!r} (--debug shows where)", EXIT_BUG, debug
        )
    return code if isinstance(code, int) else 0


def _fail(program: str, sentence: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"{program}: {sentence.strip()}\n")
    return code
