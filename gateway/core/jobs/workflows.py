"""The workflows that a worker runs: a job, and the delivery of its callback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Final

from dbos import DBOS, SetWorkflowID

from gateway.audio.download import fetch
from gateway.core.jobs import callbacks
from gateway.core.jobs.context import JobContext
from gateway.core.jobs.database import CALLBACK, CALLBACKS, JOB, PROGRESS, callback_id
from gateway.core.jobs.files import JobFiles
from gateway.core.jobs.job import JobError, JobSpec, JobStatus, Outcome, Progress
from gateway.core.jobs.ledger import JobFailed, Work
from gateway.core.jobs.speech import run_speech
from gateway.core.jobs.transcription import run_transcription
from gateway.core.metrics import JOBS_ENDED
from gateway.core.services import Services
from gateway.settings import GatewaySettings

_MOST_STARTS: Final = 5
"""A job that is started so often without finishing a step ends the workers, and is not started again."""
_ENDED: Final[Mapping[str, JobStatus]] = {"SUCCESS": "completed", "CANCELLED": "cancelled"}
_FIRST_LOOK, _LONGEST_PAUSE = 0.2, 30.0
"""Seconds before the second look at a job that has not ended, and between two later ones."""
_RUNNERS: Final = {"transcription": run_transcription, "speech": run_speech}

logger = logging.getLogger(__name__)


class StepLedger:
    """Records the steps of one job as DBOS steps."""

    def __init__(self, files: JobFiles, job_id: str) -> None:
        self._files = files
        self._job_id = job_id
        self.progress = Progress()

    async def step(self, name: str, work: Work) -> Any:
        """Do `work` unless its result is recorded; it is cancelled with the job."""
        recorded = await DBOS.run_step_async({"name": name, "preemptible": True}, self._recorded, work)
        if recorded.get("error"):
            raise JobFailed(JobError(**recorded["error"]))
        return recorded["result"]

    async def report(self, progress: Progress) -> None:
        """Publish the progress as the workflow's event."""
        self.progress = progress
        await DBOS.set_event_async(PROGRESS, {"seconds": progress.seconds, "fraction": progress.fraction})

    async def _recorded(self, work: Work) -> dict[str, Any]:
        try:
            result = await work()
        except JobFailed as failure:
            return {"error": {"message": failure.error.message, "field": failure.error.field}}
        self._files.forget_starts(self._job_id)
        return {"result": result}


def register_workflows(services: Services, files: JobFiles) -> set[str]:
    """Define the workflows in this process, before `DBOS.launch`.

    Returns the ids of the jobs and callbacks that run here, which follow them.
    """
    running: set[str] = set()

    # A job that ends workers is stopped by its own count of starts, which finished steps reset.
    @DBOS.workflow(name=JOB, max_recovery_attempts=None)
    async def run_job(job_id: str, values: dict[str, Any]) -> dict[str, Any]:
        spec = JobSpec(**values)
        ledger = StepLedger(files, job_id)
        running.add(job_id)
        try:
            outcome = await _run(services, files, ledger, job_id, spec)
        except JobFailed as failure:
            outcome = Outcome(ledger.progress, error=failure.error)
        except Exception:
            logger.exception("job %s failed", job_id)
            outcome = Outcome(ledger.progress, error=JobError("the server failed on this job; its log says why"))
        finally:
            running.discard(job_id)
        files.tidy(job_id)
        status = "failed" if outcome.error else "completed"
        JOBS_ENDED.labels(spec.kind, status).inc()
        logger.info("job %s: %s", job_id, status)
        if spec.callback_url:
            with SetWorkflowID(callback_id(job_id)):
                await DBOS.enqueue_workflow_async(CALLBACKS, call_back, job_id, spec.callback_url)
        return outcome.to_json()

    @DBOS.workflow(name=CALLBACK, max_recovery_attempts=None)
    async def call_back(job_id: str, url: str) -> bool:
        running.add(callback_id(job_id))
        try:
            return await _call_back(services.settings, job_id, url)
        finally:
            running.discard(callback_id(job_id))

    return running


async def _call_back(settings: GatewaySettings, job_id: str, url: str) -> bool:
    status = await DBOS.run_step_async({"name": "status"}, _final_status, job_id, settings.jobs_retention)
    for pause in (*callbacks.PAUSES, None):
        if await DBOS.run_step_async({"name": "deliver"}, callbacks.deliver, job_id, status, url, settings):
            return True
        if pause is not None:
            await DBOS.sleep_async(pause)
    logger.warning("the callback of job %s was not taken", job_id)
    return False


async def _run(services: Services, files: JobFiles, ledger: StepLedger, job_id: str, spec: JobSpec) -> Outcome:
    context = JobContext(services, files, ledger, job_id, DBOS.authenticated_user or "", spec, spec.upload)
    if await context.patiently(partial(asyncio.to_thread, files.count_start, job_id)) > _MOST_STARTS:
        raise JobFailed(JobError(f"the worker died {_MOST_STARTS} times on the same part of this job"))
    if not context.upload:
        download = partial(context.patiently, partial(_download, context))
        context = replace(context, upload=await ledger.step("download", download))
    return await _RUNNERS[spec.kind](context)


async def _download(context: JobContext) -> str:
    """Fetch the recording of the job's URL into its folder, and return the file's name."""
    settings = context.services.settings
    name = "download"
    pieces = fetch(
        context.spec.url, settings.max_upload_bytes, settings.jobs_hosts, seconds=settings.request_timeout, field="url"
    )
    with context.files.writing(context.job_id, name) as file:
        async with aclosing(pieces):
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
    return name


async def _final_status(job_id: str, seconds: float) -> JobStatus:
    """Return how the job ended; it is recorded just after its callback was enqueued.

    If its worker has died in between, another one runs it first. Raises `TimeoutError` after so many seconds.
    """
    pause = _FIRST_LOOK
    async with asyncio.timeout(seconds):
        while True:
            status = await DBOS.get_workflow_status_async(job_id)
            if status is None:
                return "cancelled"
            if status.status not in ("PENDING", "ENQUEUED", "DELAYED"):
                failed = isinstance(status.output, dict) and status.output.get("error")
                return "failed" if failed else _ENDED.get(status.status, "failed")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
