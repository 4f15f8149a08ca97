"""The use case `deliver`: do a job once, however often it is asked for, keep its result, and send the notice of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gateway.core.errors import JobConflict
from gateway.core.results import Output, Record, ResultKey
from gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from gateway.core.queues.sqs import Sqs
    from gateway.core.result_store import ResultStore

T = TypeVar("T")

Again = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Calls a step, and again where that may help."""


async def once(work: Callable[[], Awaitable[T]]) -> T:
    """Call a step once: a client that waits can come again itself."""
    return await work()


@dataclass(frozen=True)
class Delivery:
    """Where results and notices go."""

    results: ResultStore
    sqs: Sqs
    notice_url: str
    """The queue of the notices; empty: none are sent."""

    async def deliver(self, key: ResultKey, work: Callable[[], Awaitable[Output]], again: Again = once) -> Record:
        """Return the record of a job after its notice was sent; `work` is done if the job has no record yet.

        Raises what `work` raises, `ResultsUnavailable`, and `JobConflict` for an id of another request, or of
        one that has failed.
        """
        record = await again(lambda: self.results.find(key))
        if record and record.get("status") == "failed":
            raise JobConflict(f"the job {key.job_id!r} has failed: {record.get('error')}")
        if record is None:
            output = await again(work)
            record = await again(lambda: self.results.commit(key, output))
        await again(lambda: self.notify(key, record))
        found: Record = record
        return found

    async def notify(self, key: ResultKey, record: Record) -> None:
        """Send the notice; sent again, it is the same."""
        if self.notice_url:
            body = json.dumps(record, ensure_ascii=False, sort_keys=True)
            await self.sqs.send(self.notice_url, body, key.kind, key.job_id)


@asynccontextmanager
async def open_delivery(settings: GatewaySettings) -> AsyncIterator[Delivery | None]:
    """Yield where the results of `settings` go; None without a bucket."""
    if not settings.s3_bucket_name:
        yield None
        return
    # A gateway without a bucket does not need the packages of SQS and S3: 54 MB.
    from gateway.core.queues.sqs import open_sqs  # noqa: PLC0415
    from gateway.core.result_store import ResultStore  # noqa: PLC0415

    results = ResultStore(settings.s3_bucket_name, settings.results_prefix, settings.result_url_seconds)
    async with open_sqs() as sqs:
        yield Delivery(results, sqs, settings.sqs_url)
