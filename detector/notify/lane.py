"""One receiver's deliveries: takes what is due, sends it, notes what became of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Final

import msgspec
import structlog

from detector.errors import Unavailable
from detector.notify.answer import Answer, Outcome, next_attempt_s
from detector.notify.queue import Notification, Queue, Send, Told, nobody
from detector.notify.receivers import Receiver, TopicReceiver, WebhookReceiver

_log: Final = structlog.get_logger()

TOO_OLD = "older than alerts.max_age_s when its turn came"
GIVEN_UP, NOT_SENT = "given-up", "too-old"  # outcomes beside those of attempts
_OUTBOX_REST_S = 1.0
_AT_ONCE = 8  # requests to one server at the same time
_STALE_S = 1.0  # what was read of the outbox longer ago is read again before anything is sent
_LONGEST_REST_S = 60.0  # the wall clock may be set, and another process may make dead deliveries wait again


class _Told(msgspec.Struct):
    """What an alert says about when it was."""

    opened_at: datetime | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Habits:
    """What all receivers of a process have in common."""

    max_age_s: float | None = None  # an alert that is older at its first attempt is not sent
    waits_for_outbox: bool = False  # else an outbox that cannot be reached ends the delivery
    told: Told = nobody  # learns what became of each attempt, in the thread of delivery


class Lane:
    """Delivers to one receiver, independently of all others."""

    def __init__(
        self,
        receiver: Receiver,
        queue: Queue,
        send: Send,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        habits: Habits,
    ) -> None:
        """Use the queue and the function that makes one attempt."""
        self._receiver = receiver
        self._queue = queue
        self._send = send
        self._clock = clock
        self._random = random
        self._habits = habits
        # One at a time keeps a file in the order of the outbox; of one alert there is never more than one.
        self._limit = _AT_ONCE if isinstance(receiver, WebhookReceiver | TopicReceiver) else 1
        self._wake = asyncio.Event()
        self._stopping = False
        self._failing = False
        self._has_failed = False  # something in this round: a newer revision may go in its place
        self._gone = False
        self._outbox_failed = False

    def wake(self) -> None:
        """Look at the queue again; call it in the lane's own loop."""
        self._wake.set()

    def stop(self) -> None:
        """End after the requests in hand; call it in the lane's own loop."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        while not self._stopping:
            self._wake.clear()
            try:
                tried = await self.round(now_s=self._clock())
                if tried < self._limit and not self._has_failed:
                    await self._rest()
            except Unavailable as error:
                if not self._habits.waits_for_outbox:
                    raise
                await self._wait_for_outbox(error)

    async def round(self, *, now_s: float) -> int:
        """Try a few of those that are due at a time, each once, and count them."""
        self._has_failed = False
        is_server = isinstance(self._receiver, WebhookReceiver)
        if is_server:
            # A file and a topic keep every revision; a server that was down needs the newest only.
            self._queue.supersede(self._receiver.name)
        read_s = monotonic()
        batch = self._queue.due(self._receiver.name, now_s=now_s, limit=self._limit)
        attempts = (self._attempt(one, read_s) for one in batch)
        done = await asyncio.gather(*attempts, return_exceptions=True)
        self._outbox_failed = False
        for error in done:
            if error is not None:
                raise error  # the others are done, too
        return len(batch)

    async def _rest(self) -> None:
        due_s = self._queue.next_due_s(self._receiver.name)
        wait_s = _LONGEST_REST_S if due_s is None else min(max(due_s - self._clock(), 0.0), _LONGEST_REST_S)
        await self._wait(wait_s)

    async def _wait_for_outbox(self, error: Unavailable) -> None:
        """What was sent and could not be noted is sent again."""
        if not self._outbox_failed:
            self._outbox_failed = True
            _log.warning("deliveries wait for the outbox", receiver=self._receiver.name, error=str(error))
        await self._wait(_OUTBOX_REST_S)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _attempt(self, notification: Notification, read_s: float) -> None:
        if monotonic() - read_s > _STALE_S:
            return  # we stood still: another process may have it by now, and have sent what comes after it
        if self._is_too_old(notification):
            self._queue.skip(self._receiver.name, notification.seq, TOO_OLD)
            self._habits.told(self._receiver.name, NOT_SENT)
            return
        answer = await self._send(notification)
        name, seq = self._receiver.name, notification.seq
        self._habits.told(name, answer.outcome.value)
        match answer.outcome:
            case Outcome.DELIVERED:
                self._queue.delivered(name, seq)
                self._say_recovered()
            case Outcome.GONE:
                self._queue.disable(name, answer.error)
                self._say_gone(answer.error)
            case Outcome.FAILED:
                self._retry(notification, answer, not_before_s=0.0)
            case Outcome.SLOW_DOWN:
                until_s = self._clock() + self._pause_s(answer)
                self._queue.pause(name, until_s=until_s)
                self._retry(notification, answer, not_before_s=until_s)

    def _is_too_old(self, notification: Notification) -> bool:
        """Whether it tells of long ago; what was new at its first attempt is sent all the same.

        What follows goes with its alert: one that was sent must not fire for ever at the receiver.
        """
        most_s = self._habits.max_age_s
        if most_s is None or notification.attempts:
            return False
        alert = msgspec.json.decode(notification.payload, type=_Told)
        if alert.opened_at is None or self._clock() - alert.opened_at.timestamp() <= most_s:
            return False
        if notification.revision == 1:
            return True
        was_told = self._queue.was_told(self._receiver.name, notification.seq)
        return not was_told and (was_told is False or alert.resolved_at is None)

    def _pause_s(self, answer: Answer) -> float:
        if answer.retry_after_s is not None:
            return answer.retry_after_s
        return self._receiver.slow_down_s if isinstance(self._receiver, WebhookReceiver) else 0.0

    def _retry(self, notification: Notification, answer: Answer, *, not_before_s: float) -> None:
        self._has_failed = True
        name, attempts = self._receiver.name, notification.attempts + 1
        due_s = next_attempt_s(self._receiver.schedule, attempts, now_s=self._clock(), random=self._random)
        if due_s is None:
            self._queue.dead(name, notification.seq, answer.error)
            self._habits.told(name, GIVEN_UP)
            _log.error(
                "delivery given up",
                receiver=name,
                alert_id=notification.alert_id,
                revision=notification.revision,
                attempts=attempts,
                error=answer.error,
            )
            return
        self._queue.retry(name, notification.seq, due_s=max(due_s, not_before_s), error=answer.error)
        self._say_failing(answer.error)

    def _say_gone(self, error: str) -> None:
        """Log it once: several requests may be on their way."""
        if not self._gone:
            self._gone = True
            _log.error(
                "receiver disabled", receiver=self._receiver.name, error=error, until="its url changes"
            )

    def _say_failing(self, error: str) -> None:
        """Log the first failure of a row: a server that is down fails for every alert alike."""
        if not self._failing:
            self._failing = True
            _log.warning("receiver failing", receiver=self._receiver.name, error=error)

    def _say_recovered(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("receiver answers again", receiver=self._receiver.name)
