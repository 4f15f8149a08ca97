"""`python -m gateway.queue_worker` as a process of its own, and what a test or benchmark finds afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from tests.stand_ins.aws import Aws
from tests.unit.gateway.process import ROOT

T = TypeVar("T")

COMES_BACK_SOON = {"SQS_VISIBILITY": "4"}
"""For workers that are killed: seconds after which their messages come back; those of a slow one, too."""


@dataclass(frozen=True)
class Queues:
    """A bucket, and the queues of a worker."""

    aws: Aws
    bucket: str
    jobs: str
    notices: str

    @classmethod
    def make(cls, aws: Aws, **options: Any) -> Queues:
        """Make new ones; the options are those of the queue of the jobs."""
        name = uuid4().hex[:12]
        bucket, notices = aws.bucket(f"results-{name}"), aws.queue(f"notices-{name}")
        return cls(aws, bucket, aws.queue(f"jobs-{name}", **options), notices)

    def settings(self, triton: str, kind: str = "SYNTHESIZE", **more: str) -> dict[str, str]:
        """Return the environment variables of a worker."""
        return {
            "TRITON_GRPC_URL": triton,
            "S3_BUCKET_NAME": self.bucket,
            "SQS_URL": self.notices,
            f"AWS_SQS_{kind}_QUEUE_URL": self.jobs,
            "PYTHONPATH": str(ROOT),
            **self.aws.variables,
            **more,
        }

    async def all_notices(self, count: int, seconds: float = 300.0) -> dict[str, list[dict[str, Any]]]:
        """Return the notices of each job, once `count` jobs have one and no message is left."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        async with asyncio.timeout(seconds):
            while len(found) < count or await asyncio.to_thread(self.aws.depth, self.jobs) > 0:
                await self._take(found)
        await self._take(found)
        return found

    async def _take(self, found: dict[str, list[dict[str, Any]]]) -> None:
        while notices := await asyncio.to_thread(self.aws.take, self.notices, 1):
            for notice in notices:
                found[notice["job_id"]].append(notice)

    def problems(self, notices: Mapping[str, list[dict[str, Any]]]) -> list[str]:
        """Return what is wrong with the notices of completed jobs and the objects of the bucket."""
        problems = []
        objects = self.aws.objects(self.bucket)
        for job_id, told in notices.items():
            if any(notice != told[0] for notice in told):
                problems.append(f"{job_id}: notices differ: {told}")
            record = json.loads(objects.pop(f"synthesize/{job_id}/result.json"))
            record.pop("request")
            if record != told[0]:
                problems.append(f"{job_id}: the notice is not the record: {told[0]} {record}")
            if record["status"] != "completed":
                problems.append(f"{job_id}: it failed: {record}")
            elif not objects.pop(told[0]["s3_key"], b""):
                problems.append(f"{job_id}: there is no audio")
        return problems + [f"left in the bucket: {path}" for path in objects]


async def while_running(process: asyncio.subprocess.Process, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`. Raises `RuntimeError` if the process ends before."""
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RuntimeError(f"the worker ended with status {process.returncode}")
        return working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


@asynccontextmanager
async def queue_worker(settings: Mapping[str, str], folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker for the block; its log is appended to `worker.log`."""
    with (folder / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.queue_worker"),
            cwd=folder,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
