"""The jobs of the Qwen2.5-Omni transcription service."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.unit.gateway.jobs.conftest import Jobs
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper

RECORDING = ("talk.wav", encoded(parts(2), "wav", "pcm_s16le"))


async def begin(jobs: Jobs, file: Any = RECORDING) -> str:
    answer = await jobs.gateway.http.post("/omni/transcribe/async", files={"file": file})
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"job_id"}
    job_id: str = answer.json()["job_id"]
    return job_id


async def status(jobs: Jobs, job_id: str) -> dict[str, Any]:
    answer = await jobs.gateway.http.get(f"/omni/status/{job_id}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def end(jobs: Jobs, job_id: str) -> dict[str, Any]:
    async with asyncio.timeout(300):
        while (state := await status(jobs, job_id))["status"] == "processing":  # noqa: ASYNC110 - as clients do
            await asyncio.sleep(0.1)
    return state


async def test_a_job_is_processing_and_then_completed_with_its_text(jobs: Jobs, whisper: FakeWhisper) -> None:
    async with whisper.holding(0, 1):
        job_id = await begin(jobs)
        async with asyncio.timeout(300):
            await whisper.arrived[0].wait()
        assert (await status(jobs, job_id))["status"] == "processing"
    state = await end(jobs, job_id)
    assert (state["status"], state["transcription"], state["error"]) == ("completed", "part 0 part 1", None)
    assert re.fullmatch(r"\d{14}-\w{8}\.txt", state["output_file"])
    assert state["completed_at"]
    assert await status(jobs, job_id) == state


async def test_a_job_is_listed_among_the_others(jobs: Jobs) -> None:
    job_id = await begin(jobs)
    await end(jobs, job_id)
    listed = (await jobs.gateway.http.get("/v1/audio/jobs")).json()["data"]
    assert (job_id, "json") in {(job["id"], job["response_format"]) for job in listed}
    assert (await jobs.result(job_id)).json()["text"] == "part 0 part 1"
    assert (await jobs.result(job_id, response_format="verbose_json")).json()["segments"]


async def test_a_job_without_audio_fails_with_the_reason(jobs: Jobs) -> None:
    state = await end(jobs, await begin(jobs, ("talk.wav", b"no audio")))
    assert state["status"] == "failed"
    assert state["error"]
    assert state["transcription"] is None


async def test_the_job_of_another_key_is_unknown(jobs: Jobs) -> None:
    job_id = await begin(jobs)
    answer = await jobs.gateway.http.get(f"/omni/status/{job_id}", headers={"authorization": "Bearer bob"})
    assert (answer.status_code, answer.json().keys()) == (404, {"status", "error"})
    await end(jobs, job_id)  # its windows are no calls of the next test


@pytest.mark.parametrize("job_id", ["nothing", "job_0", "..%2F..%2Fetc"])
async def test_an_unknown_job_is_a_404(jobs: Jobs, job_id: str) -> None:
    assert (await jobs.gateway.http.get(f"/omni/status/{job_id}")).status_code == 404
