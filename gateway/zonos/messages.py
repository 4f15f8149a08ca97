"""The jobs of this service as messages of a queue: JSON objects with the fields of the routes."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from fastapi.exceptions import RequestValidationError

from gateway import untrusted_json
from gateway.core.deliver import Delivery
from gateway.core.errors import JobConflict
from gateway.core.jobs.job import JobError
from gateway.core.jobs.ledger import JobFailed
from gateway.core.jobs.patience import patiently
from gateway.core.queues.consumer import Message
from gateway.core.results import Output, ResultKey
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.settings import GatewaySettings
from gateway.zonos.requests import JobBody, checked
from gateway.zonos.serving import BODIES, EVERYONE, Kind, delivered, key_of

_MOST_REASON_CHARS: Final = 1000
_CLOCKS: Final = 5.0
"""Seconds by which the clocks of AWS and of this machine may differ."""


def queues(settings: GatewaySettings) -> dict[Kind, str]:
    """Return the URL of each queue that is set."""
    urls: dict[Kind, str] = {
        "register": settings.aws_sqs_register_queue_url,
        "synthesize": settings.aws_sqs_synthesize_queue_url,
        "assistant": settings.aws_sqs_assistant_queue_url,
    }
    return {kind: url for kind, url in urls.items() if url}


@dataclass(frozen=True)
class JobMessages:
    """Acts on the messages of one kind. A job without an id of its own has that of its message."""

    services: Services
    delivery: Delivery
    kind: Kind

    async def act(self, message: Message) -> None:
        """Do the job of a message, once, and send its notice. Raises `JobFailed` and `JobGivenUp`."""
        body = self._body(message)
        telemetry = WorkTelemetry(f"sqs-{message.id}", caller="sqs", owner=self._owner)
        again = partial(patiently, seconds=self.services.settings.jobs_wait, before_pause=_nothing)
        since = message.sent - _CLOCKS if message.receives > 1 else math.inf
        try:
            await delivered(self.services, self.delivery, body, telemetry, since=since, again=again)
        except JobFailed as error:
            if error.error.field:
                name = body.client_field_name(error.error.field)
                error.error = JobError(f"{name}: {error.error.message}", name)
                error.args = (error.error.message,)
            raise

    async def fail(self, message: Message, reason: str) -> None:
        """Record that the job failed, and send that notice. Raises `ResultsUnavailable`."""
        try:
            key = key_of(self._body(message), self._owner)
        except JobFailed:  # it is no body, so it has no id but the message's
            digest = hashlib.sha256(message.body.encode(errors="replace")).hexdigest()
            key = ResultKey(self.kind, message.id, digest)
        try:
            record = await self.delivery.results.commit(
                key, Output({"status": "failed", "error": reason[:_MOST_REASON_CHARS]})
            )
        except JobConflict:
            return  # the id belongs to another job, which has a notice of its own
        await self.delivery.notify(key, record)

    async def keep(self, queue: str, message: Message, reason: str) -> None:
        """Keep a message in the bucket. Raises `ResultsUnavailable`."""
        content = {"message_id": message.id, "sent": message.sent, "reason": reason, "body": message.body}
        await self.delivery.results.set_aside(queue, message.id, content)

    @property
    def _owner(self) -> str:
        key = self.services.settings.sqs_api_key.get_secret_value()
        return hashlib.sha256(key.encode()).hexdigest()[:32] if key else EVERYONE

    def _body(self, message: Message) -> JobBody:
        """Return the fields of a message. Raises `JobFailed` for a message that has others."""
        try:
            fields: dict[str, Any] = untrusted_json.parse_object(message.body)
            if fields.get("job_id") is None and fields.get("request_id") is None:
                fields["job_id"] = message.id
            return checked(BODIES[self.kind], fields)
        except untrusted_json.MalformedJson as error:
            raise JobFailed(JobError(f"the message: {error}")) from None
        except RequestValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][1]) if len(first["loc"]) > 1 else "the message"
            raise JobFailed(JobError(f"{name}: {first['msg'].removeprefix('Value error, ')}")) from None


def _nothing() -> None:
    pass
