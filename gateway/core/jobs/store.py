"""The port of the stores that hold jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.core.jobs.job import Job, JobSpec, JobStatus


class JobStore(Protocol):
    """Keeps jobs, and hands each to one worker at a time. A method raises `JobsUnavailable` if it is out of reach."""

    async def create(self, job_id: str, owner: str, spec: JobSpec) -> Job:
        """Enqueue a job after those of its owner; if the id is in use, return that job unchanged.

        Jobs of different owners take turns.
        """

    async def get(self, job_id: str, owner: str) -> Job | None:
        """Return the owner's job, or None."""

    async def list(self, owner: str, limit: int, after: Job | None = None) -> list[Job]:
        """Return the owner's jobs, the newest first, beginning behind `after`."""

    async def unfinished(self) -> Mapping[JobStatus, int]:
        """Return the numbers of queued and running jobs of all owners."""

    async def cancel(self, job: Job) -> None:
        """Let the job end; its worker stops within a second or so. A finished job stays as it is."""

    async def delete(self, job: Job) -> None:
        """Forget the job."""

    async def close(self) -> None:
        """Close the connections."""
