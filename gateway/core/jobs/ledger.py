"""The port through which a job records its finished steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from gateway.core.jobs.job import JobError, Progress

Work = Callable[[], Awaitable[Any]]
"""A piece of a job; its result is JSON."""


class JobFailed(Exception):
    """The job cannot succeed, and is not tried again."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


class JobGivenUp(JobFailed):
    """The job failed for a reason that may pass: another attempt, later, may succeed."""


class Ledger(Protocol):
    """The record of one job. A job that is started again must call the same steps in the same order."""

    async def step(self, name: str, work: Work) -> Any:
        """Do `work` and record its result; if it is recorded already, only return that.

        Raises `JobFailed` for a failure that was recorded.
        """

    async def report(self, progress: Progress) -> None:
        """Publish the progress."""
