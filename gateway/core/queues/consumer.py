"""Take messages from a queue of SQS, each at least once, and let a handler act on it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from gateway.core.errors import ServiceError
from gateway.core.jobs.job import JobError
from gateway.core.jobs.ledger import JobFailed, JobGivenUp
from gateway.core.queues.dead_letters import DeadLetters
from gateway.core.queues.metrics import AGE, DEPTH, MESSAGES
from gateway.core.queues.sqs import AWS_ERRORS, Sqs

T = TypeVar("T")

_POLL: Final = 20
"""Seconds that a call waits for a message; the most that SQS allows."""
_PAUSES: Final = 1.0, 2.0, 4.0, 8.0, 16.0, 30.0
"""Seconds before another call after one, two... that failed; the last is repeated."""
_LATER: Final = 30
"""Seconds after which a message that may succeed later comes back."""
_DEPTH_SECONDS: Final = 15.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """A message of a queue."""

    id: str
    body: str
    receipt: str
    receives: int
    """How often it was taken, this time included."""
    sent: float
    """Unix seconds."""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Message:
        """Return the message that SQS describes so."""
        attributes = fields.get("Attributes", {})
        return cls(
            fields["MessageId"],
            fields.get("Body", ""),
            fields["ReceiptHandle"],
            int(attributes.get("ApproximateReceiveCount", 1)),
            int(attributes.get("SentTimestamp", 0)) / 1000,
        )


class Handler(Protocol):
    """Acts on messages. A message may come again, also to another worker: acting on it again must change nothing."""

    async def act(self, message: Message) -> None:
        """Do what the message asks for. Raises `JobFailed` if that can never succeed, `JobGivenUp` if it may later."""

    async def fail(self, message: Message, reason: str) -> None:
        """Tell that the message is not tried again. Raises `ServiceError`."""

    async def keep(self, queue: str, message: Message, reason: str) -> None:
        """Keep a message for the operator, where there is no dead-letter queue. Raises `ServiceError`."""


@dataclass(frozen=True)
class ConsumerOptions:
    """The limits of the work on a queue."""

    at_once: int = 2
    """Messages in work at once."""
    visibility: int = 60
    """Seconds for which a message is hidden from other workers; renewed while it is in work."""
    max_receives: int = 5
    """Attempts, where there is no dead-letter queue."""
    drain: float = 30.0
    """Seconds after the stop for the messages in work."""


class Consumer:
    """Takes the messages of one queue until it is stopped."""

    def __init__(self, sqs: Sqs, name: str, url: str, handler: Handler, options: ConsumerOptions) -> None:
        """`name` is that of the queue in logs and metrics."""
        self._sqs = sqs
        self._name = name
        self._url = url
        self._handler = handler
        self._options = options
        self._dead_letters = DeadLetters(sqs, url)
        self._failures = 0
        """Calls in a row that failed."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish the messages in work; what takes longer is left to another worker."""
        watching = asyncio.create_task(self._watch_depth())
        working: set[asyncio.Task[None]] = set()
        try:
            while not stop.is_set():
                if len(working) >= self._options.at_once:
                    await _before(stop, asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED))
                for message in await self._receive(self._options.at_once - len(working), stop):
                    task = asyncio.create_task(self._work(message))
                    working.add(task)
                    task.add_done_callback(working.discard)
            logger.info("%s: stopping, %d messages in work", self._name, len(working))
            if working:
                await asyncio.wait(working, timeout=self._options.drain)
        finally:
            for task in (watching, *working):
                task.cancel()
            await asyncio.gather(watching, *working, return_exceptions=True)

    async def _receive(self, most: int, stop: asyncio.Event) -> list[Message]:
        """Return the next messages; none after a failed call, and a pause, or at the stop."""
        if most < 1 or stop.is_set():
            return []
        try:
            await self._dead_letters.find()
            call = self._sqs.call(
                "receive_message",
                self._url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=_POLL,
                VisibilityTimeout=self._options.visibility,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
            found = await _before(stop, call)
        except AWS_ERRORS as error:
            if not self._failures:
                logger.warning("%s: SQS is away: %s", self._name, error)
            pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
            self._failures += 1
            await _before(stop, asyncio.sleep(pause))
            return []
        if self._failures:
            logger.warning("%s: SQS is back", self._name)
        self._failures = 0
        return [Message.of(each) for each in (found or {}).get("Messages", [])]

    async def _work(self, message: Message) -> None:
        AGE.labels(self._name).observe(max(0.0, time.time() - message.sent))
        renewing = asyncio.create_task(self._renew(message))
        outcome = "left"
        try:
            outcome = await self._outcome(message)
        except asyncio.CancelledError:
            await asyncio.shield(self._hide(message, 0))  # for another worker, at once
            raise
        except ServiceError as error:
            logger.warning("%s: message %s comes back: %s (%s)", self._name, message.id, error.message, error.detail)
            await self._hide(message, _LATER)
        except Exception:
            logger.exception("%s: message %s comes back", self._name, message.id)
            await self._hide(message, _LATER)
        finally:
            MESSAGES.labels(self._name, outcome).inc()
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _outcome(self, message: Message) -> str:
        last = not self._dead_letters.url and message.receives >= self._options.max_receives
        try:
            if last and message.receives > self._options.max_receives:
                # Its worker may have died of it.
                raise JobFailed(JobError(f"{message.receives - 1} attempts at it did not end"))
            await self._handler.act(message)
        except JobGivenUp as error:
            if not last:
                logger.warning("%s: message %s comes back: %s", self._name, message.id, error)
                await self._hide(message, _LATER)
                return "left"
            await self._set_aside(message, str(error))
            return "set_aside"
        except JobFailed as error:
            await self._set_aside(message, str(error))
            return "set_aside"
        await self._delete(message)
        return "done"

    async def _set_aside(self, message: Message, reason: str) -> None:
        logger.error("%s: message %s is set aside: %s", self._name, message.id, reason)
        await self._handler.fail(message, reason)
        if not await self._dead_letters.take(message.id, message.body, reason):
            await self._handler.keep(self._name, message, reason)
        await self._delete(message)

    async def _delete(self, message: Message) -> None:
        """Delete a message; if that fails, it comes again, and acting on it changes nothing."""
        with suppress(*AWS_ERRORS):
            await self._sqs.call("delete_message", self._url, ReceiptHandle=message.receipt)

    async def _hide(self, message: Message, seconds: int) -> None:
        """Let a message come back after so many seconds."""
        with suppress(*AWS_ERRORS):
            await self._sqs.call(
                "change_message_visibility", self._url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds
            )

    async def _renew(self, message: Message) -> None:
        while True:
            await asyncio.sleep(self._options.visibility / 3)
            await self._hide(message, self._options.visibility)

    async def _watch_depth(self) -> None:
        names = {"waiting": "ApproximateNumberOfMessages", "in_work": "ApproximateNumberOfMessagesNotVisible"}
        while True:
            with suppress(*AWS_ERRORS):
                found = await self._sqs.call("get_queue_attributes", self._url, AttributeNames=[*names.values()])
                for state, name in names.items():
                    DEPTH.labels(self._name, state).set(int(found["Attributes"][name]))
            await asyncio.sleep(_DEPTH_SECONDS)


async def _before(stop: asyncio.Event, work: Awaitable[T]) -> T | None:
    """Return the result of `work`, or None if `stop` is set before; `work` is then cancelled."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((doing, stopping), return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)
