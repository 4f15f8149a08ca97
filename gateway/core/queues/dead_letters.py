"""The dead-letter queue of a queue, if it has one."""

from __future__ import annotations

import json

from gateway.core.queues.sqs import Sqs


class DeadLetters:
    """Takes the messages that can never succeed; SQS itself moves those that were tried too often."""

    def __init__(self, sqs: Sqs, url: str) -> None:
        self.url: str | None = None
        """Of the dead-letter queue; empty: there is none. None: not yet known."""
        self._sqs = sqs
        self._source = url

    async def find(self) -> None:
        """Find out whether there is one; only the first call does something. Raises one of `AWS_ERRORS`."""
        if self.url is not None:
            return
        found = await self._sqs.call("get_queue_attributes", self._source, AttributeNames=["RedrivePolicy"])
        policy = json.loads(found.get("Attributes", {}).get("RedrivePolicy", "{}"))
        if not policy:
            self.url = ""
            return
        *_, account, name = policy["deadLetterTargetArn"].split(":")
        self.url = await self._sqs.url_of(name, account)

    async def take(self, message_id: str, body: str, reason: str) -> bool:
        """Send a message there, and return whether there is such a queue. Raises `ResultsUnavailable`."""
        if not self.url:
            return False
        await self._sqs.send(self.url, body, "dead-letters", message_id, {"reason": reason, "message_id": message_id})
        return True
