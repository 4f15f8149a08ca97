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
from gateway.core.telemetry import WorkTelemetry

T = TypeVar("T")


@dataclass(frozen=True)
class JobContext:
    """One job while it runs."""

    services: Services
    files: JobFiles
    ledger: Ledger
    job_id: str
    owner: str
    """The client that created it."""
    spec: JobSpec
    upload: str
    """The name of the file with the recording or text, in the job's folder."""

    def telemetry(self, *, continues: bool = False) -> WorkTelemetry:
        """Return a record of work for the job's client."""
        return WorkTelemetry(self.job_id, owner=self.owner, continues=continues)

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work`, which may wait JOBS_WAIT seconds for its model. Raises `JobFailed`."""
        # A job that waits has not ended its worker.
        forget = partial(self.files.forget_starts, self.job_id)
        return await patiently(work, self.services.settings.jobs_wait, forget)
