"""The receiver of alerts: it goes down, is slow, answers 500, and remembers all that it was sent."""

from contextlib import ExitStack

from tests.receiver import SLOW, Script, serving

TAKEN, BROKEN = 204, 500


class Notices:
    """A webhook, and what must hold of all that it was sent."""

    def __init__(self) -> None:
        """Be down."""
        self.script = Script()
        self.in_order = True  # no lower revision after a higher one: where Redis is never set back
        self._serving = ExitStack()

    def up(self) -> None:
        """Listen, and take what comes."""
        self.script.answers[:] = [TAKEN]
        self._serving.enter_context(serving(self.script))

    def down(self) -> None:
        """Listen no more."""
        self._serving.close()

    def answer(self, status: int) -> None:
        """From now on answer so."""
        self.script.answers[:] = [status]

    def be_slow(self) -> None:
        """From now on answer nothing until the next `up`."""
        self.answer(SLOW)

    @property
    def taken(self) -> set[str]:
        """The ids that were taken."""
        return {request.webhook_id for request in list(self.script.requests) if request.answer == TAKEN}

    def check(self) -> None:
        """Every request is signed, an id has one payload, and revisions of an alert go up."""
        bodies: dict[str, bytes] = {}
        taken: dict[str, int] = {}
        for request in self.script.requests:
            request.verify()
            assert bodies.setdefault(request.webhook_id, request.body) == request.body
            alert_id, _, number = request.webhook_id.rpartition(".")
            revision = int(number)
            if self.in_order:
                assert revision >= taken.get(alert_id, 0), f"{request.webhook_id} after {taken[alert_id]}"
            if request.answer == TAKEN:
                taken[alert_id] = max(revision, taken.get(alert_id, 0))
