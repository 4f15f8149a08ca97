"""Everything that the code of a job works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from gateway.core.jobs.files import JobFiles
from gateway.core.jobs.job import JobSpec
from gateway.core.jobs.ledger import Ledger
from gateway.core.jobs.patience import patiently
from gateway.core.services import Services

T = TypeVar("T")


@dataclass(frozen=True)
class JobContext:
    """One job while it runs."""

    services: Services
    files: JobFiles
    ledger: Ledger
    job_id: str
    spec: JobSpec
    upload: str
    """The name of the file with the recording or text, in the job's folder."""

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work`, which may wait JOBS_WAIT seconds for its model. Raises `JobFailed`."""
        # A job that waits has not ended its worker.
        forget = partial(self.files.forget_starts, self.job_id)
        return await patiently(work, self.services.settings.jobs_wait, forget)
