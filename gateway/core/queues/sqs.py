"""A client of SQS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as ConnectionFailed
from botocore.exceptions import BotoCoreError, ClientError

from gateway.core.errors import ResultsUnavailable

AWS_ERRORS: Final = (BotoCoreError, ClientError, ConnectionFailed, OSError, TimeoutError)
"""The errors of a call while AWS is away, or rejects it."""
_CONFIG: Final = AioConfig(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3, "mode": "standard"})


class Sqs:
    """A client that connects when it is first needed. Region, credentials and endpoint are in `AWS_*` variables."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None

    async def call(self, operation: str, queue_url: str, **arguments: Any) -> Mapping[str, Any]:
        """Return the answer to an operation on a queue, such as `send_message`. Raises one of `AWS_ERRORS`."""
        client = await self._connected()
        answer: Mapping[str, Any] = await getattr(client, operation)(QueueUrl=queue_url, **arguments)
        return answer

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                opened = get_session().create_client("sqs", config=_CONFIG)
                self._client = await self._stack.enter_async_context(opened)
            return self._client

    async def send(
        self, queue_url: str, body: str, group: str, name: str, attributes: Mapping[str, str] | None = None
    ) -> None:
        """Send a message. A FIFO queue gets its group, and drops what came with the same `name` in the last minutes.

        Raises `ResultsUnavailable`.
        """
        told = {key: {"DataType": "String", "StringValue": value} for key, value in (attributes or {}).items()}
        fifo = {"MessageGroupId": group, "MessageDeduplicationId": name} if queue_url.endswith(".fifo") else {}
        try:
            await self.call("send_message", queue_url, MessageBody=body, MessageAttributes=told, **fifo)
        except AWS_ERRORS as error:
            raise ResultsUnavailable(f"{queue_url}: {error}") from error

    async def url_of(self, name: str, account: str) -> str:
        """Return the URL of a queue. Raises one of `AWS_ERRORS`."""
        client = await self._connected()
        return str((await client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account))["QueueUrl"])

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()


@asynccontextmanager
async def open_sqs() -> AsyncIterator[Sqs]:
    """Yield a client that is closed at the end of the block."""
    sqs = Sqs()
    try:
        yield sqs
    finally:
        await sqs.close()
