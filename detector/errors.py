"""Errors, named by what the caller does about them."""


class TailraceError(Exception):
    """The base of every error that a person can act on; its text is one sentence."""

    exit_code = 70


class BadRecord(TailraceError):
    """A record that cannot become lines: put it aside with this reason and go on."""


class BadSetup(TailraceError):
    """Usage, configuration or bundle is wrong: exit 2 at start, with every fault listed."""

    exit_code = 2


class Unreadable(TailraceError):
    """An input cannot be read: exit 3."""

    exit_code = 3


class Unavailable(TailraceError):
    """A server cannot be reached: daemons wait, one-shot commands exit 4."""

    exit_code = 4


class InDoubt(Unavailable):
    """A commit was sent and its reply was lost: exit 4 at once; the next start reads what is stored."""


class Fenced(TailraceError):
    """Somebody else owns or has moved the state: exit 5."""

    exit_code = 5


class Stuck(TailraceError):
    """A server has stopped giving us anything, or our place in the input is lost: exit 4.

    Unlike with Unavailable no daemon waits in itself: what hangs would be there still. So the process ends,
    and whoever started it starts it again, from the fence.
    """

    exit_code = 4
