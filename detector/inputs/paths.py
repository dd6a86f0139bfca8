"""Which files an INPUT argument means. Lists folders, and looks at the first bytes of files."""

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from detector.errors import Unreadable
from detector.inputs.binary import refusal, why_no_log
from detector.inputs.twins import once

STDIN = "-"


def find(inputs: Sequence[str], told: Callable[[str], object] = lambda _: None) -> list[str]:
    """Every file that the arguments name, once whatever names it has, sorted; `-` stays as it is.

    What is no log is left out of folders and globs, and what is a packed copy of another file everywhere;
    `told` says why.

    Raises:
        Unreadable: an argument names nothing that can be read.
    """
    found = {path for argument in inputs for path in _named(argument, told)}
    return sorted(once(found, inputs, told))


def listed(argument: str) -> Iterable[str]:
    """What one argument means at this moment, sockets and the like too; nothing is no error here."""
    if argument == STDIN or os.path.isfile(argument):  # noqa: PTH113  # asked on every poll: Path costs 5x
        return [argument]
    if os.path.isdir(argument):  # noqa: PTH112  # the same
        return _below(argument)
    if glob.has_magic(argument):
        return sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  # keeps the path as it was typed
    return []


def covers(inputs: Iterable[str], path: str) -> bool:
    """Whether one of the arguments would name this path, whether it is there or not."""
    for argument in inputs:
        below = argument.rstrip("/") + "/"
        if argument == path or path.startswith(below):
            return True
        # fnmatch lets a star stand for folders too: at most a file too many is remembered
        if glob.has_magic(argument) and fnmatchcase(path, argument.replace("**/", "*")):
            return True
    return False


def _named(argument: str, told: Callable[[str], object]) -> list[str]:
    if argument == STDIN:
        return [argument]
    if os.path.exists(argument) and not os.path.isdir(argument):  # noqa: PTH110, PTH112  # or a pipe
        _check(argument)
        if why := why_no_log(argument):
            raise Unreadable(f"{refusal(argument, why)}; name files that hold lines of text.")
        return [argument]
    files = [path for path in listed(argument) if os.path.isfile(path)]  # noqa: PTH113
    if not files:
        raise Unreadable(nothing(argument))
    return _logs(argument, files, told)


def _logs(argument: str, files: list[str], told: Callable[[str], object]) -> list[str]:
    """The files without those that are no logs."""
    logs: list[str] = []
    refused = ""
    for path in files:
        _check(path)
        if why := why_no_log(path):
            refused = refused or refusal(path, why)
            told(f"{refusal(path, why)}; it is left out")
        else:
            logs.append(path)
    if not logs:
        raise Unreadable(f"{argument}: none of the {len(files)} files is a log; the first: {refused}.")
    return logs


def _check(path: str) -> None:
    if not os.access(path, os.R_OK):
        raise Unreadable(f"{path}: permission denied; let this user read it, or leave it out.")
    if not is_text(path):
        raise Unreadable(f"{path!r}: its name is not UTF-8; rename it, or leave it out.")


def is_text(path: str) -> bool:
    """Whether the name can be written into results (it stands in every position)."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def nothing(argument: str) -> str:
    """What a person is told where an argument names no file."""
    if os.path.isdir(argument):  # noqa: PTH112  # the same
        return f"{argument}: this folder holds no files; name one that does."
    if glob.has_magic(argument):
        return f"{argument}: no file matches; check the pattern, and quote it for the shell."
    return f"{argument}: no such file or folder; check the path."


def _below(folder: str) -> Iterable[str]:
    """Files below a folder, sorted; names that begin with a dot are not looked at."""
    for where, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(where, name) for name in sorted(names) if not name.startswith("."))  # noqa: PTH118


def _refuse(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise Unreadable(f"{error.filename}: permission denied; let this user list it.") from error
