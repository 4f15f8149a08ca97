"""Jobs whose worker, model or database goes away while they run, and their order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from gateway.core.jobs.files import JobFiles
from tests.fake_triton import Call, FakeTriton, Status
from tests.postgres import Postgres
from tests.unit.gateway.conftest import FakeSpeech
from tests.unit.gateway.jobs.conftest import SETTINGS, Jobs, calls_of, running_jobs, running_worker
from tests.unit.gateway.recordings import part_of
from tests.unit.gateway.transcription.conftest import FakeWhisper

Store = Callable[[str], dict[str, Any]]


async def test_a_job_continues_after_its_last_finished_window_when_its_worker_is_killed(
    triton: FakeTriton, whisper: FakeWhisper, store: Store
) -> None:
    settings = {**SETTINGS, **store("killed"), "dead": 2}
    async with running_jobs(triton, **settings) as jobs:
        async with running_worker(triton, **settings) as worker, whisper.holding(2):
            job_id = await jobs.transcribe(4, language="en", response_format="json")
            await jobs.until(job_id, lambda job: job["progress"]["seconds"] > 40)
            worker.kill()
            await worker.wait()
        async with running_worker(triton, **settings):
            job = await jobs.end(job_id)
        assert job["status"] == "completed", job["error"]
        assert (await jobs.result(job_id)).json()["text"] == "part 0 part 1 part 2 part 3"
    sent = Counter(part_of(call.inputs["audio"]) for call in calls_of(job_id, triton))
    assert (sent[0], sent[1]) == (1, 1)


async def test_a_job_that_kills_its_workers_fails_after_five_of_them(
    triton: FakeTriton, whisper: FakeWhisper, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "jobs_dir": str(tmp_path), "jobs_url": "", "dead": 1}
    async with running_jobs(triton, **settings) as jobs:
        job_id = await jobs.transcribe()
        async with whisper.holding(0), running_worker(triton, **settings) as worker:
            async with asyncio.timeout(300):
                await whisper.arrived[0].wait()
            worker.kill()
            await worker.wait()
        for _ in range(5):  # as five more workers would
            JobFiles(Path(settings["jobs_dir"])).count_start(job_id)
        async with running_worker(triton, **settings):
            job = await jobs.end(job_id)
    assert job["status"] == "failed"
    assert "the worker died 5 times" in job["error"]["message"]


async def test_a_stopped_worker_gives_up_its_job_to_another_at_once(
    triton: FakeTriton, whisper: FakeWhisper, store: Store
) -> None:
    settings = {**SETTINGS, **store("stopped"), "dead": 3600}
    async with (
        running_jobs(triton, **settings) as jobs,
        running_worker(triton, **settings) as first,
        whisper.holding(0),
    ):
        job_id = await jobs.transcribe()
        async with asyncio.timeout(300):
            await whisper.arrived[0].wait()
        async with running_worker(triton, **settings):
            whisper.arrived[0].clear()
            first.terminate()
            assert await first.wait() == 0
            async with asyncio.timeout(300):
                await whisper.arrived[0].wait()
            whisper.gates[0].set()
            assert (await jobs.end(job_id))["status"] == "completed"


async def test_a_job_waits_for_a_model_that_is_loading(jobs: Jobs, triton: FakeTriton, whisper: FakeWhisper) -> None:
    triton.states["whisper-base"] = "loading"
    await jobs.gateway.follow(triton)
    job_id = await jobs.transcribe()
    await jobs.until(job_id, lambda job: job["status"] == "running")
    triton.states.clear()
    await triton.publish()
    assert (await jobs.end(job_id))["status"] == "completed"


async def test_a_window_is_sent_again_after_its_server_went_away(
    jobs: Jobs, triton: FakeTriton, whisper: FakeWhisper
) -> None:
    whisper.failures[1] = Status(grpc.StatusCode.UNAVAILABLE, "the server is going down")
    job_id = await jobs.transcribe(language="en")

    def sent() -> Counter[int]:
        return Counter(part_of(call.inputs["audio"]) for call in calls_of(job_id, triton))

    await jobs.until(job_id, lambda job: job["progress"]["seconds"] > 0)
    before = sent()[0]
    async with asyncio.timeout(300):
        await whisper.arrived[1].wait()
    whisper.failures.clear()
    assert (await jobs.end(job_id))["status"] == "completed"
    assert sent()[0] == before
    assert sent()[1] >= 2


async def test_owners_take_turns(triton: FakeTriton, kokoro: FakeSpeech, store: Store) -> None:
    settings = {**SETTINGS, **store("turns"), "jobs_at_once": 1}
    async with running_jobs(triton, **settings) as jobs:
        for number in range(3):
            await jobs.speak(f"Alice {number}.")
        bob = {"authorization": "Bearer bob"}
        made = [
            await jobs.create(json={"model": "kokoro-82m", "input": f"Bob {number}."}, headers=bob)
            for number in range(2)
        ]
        async with running_worker(triton, **settings):
            await jobs.end(await jobs.speak("Alice 3."))
        assert len(made) == 2
    assert _texts(triton.calls) == ["Alice 0.", "Bob 0.", "Alice 1.", "Bob 1.", "Alice 2.", "Alice 3."]


async def test_jobs_survive_the_death_of_the_database_server(
    triton: FakeTriton, whisper: FakeWhisper, database: Postgres, tmp_path: Any
) -> None:
    with Postgres() as own:
        settings = {**SETTINGS, "jobs_dir": str(tmp_path), "jobs_url": own.url("jobs")}
        async with running_jobs(triton, **settings) as jobs, running_worker(triton, **settings):
            async with whisper.holding(1):
                job_id = await jobs.transcribe(language="en")
                await jobs.until(job_id, lambda job: job["progress"]["seconds"] > 0)
                own.kill()
                response = await jobs.gateway.http.get(f"/v1/audio/jobs/{job_id}")
                assert response.status_code == 503
                assert "out of reach" in response.json()["error"]["message"]
                await asyncio.to_thread(own.start)
            assert (await jobs.end(job_id))["status"] == "completed"


def _texts(calls: list[Call]) -> list[str]:
    return [call.inputs["text"].item().decode() for call in calls]


async def test_a_worker_stops_while_its_database_is_away(
    triton: FakeTriton, kokoro: FakeSpeech, database: Postgres, tmp_path: Path
) -> None:
    with Postgres() as own:
        settings = {**SETTINGS, "jobs_dir": str(tmp_path), "jobs_url": own.url("jobs")}
        async with running_jobs(triton, **settings) as jobs, running_worker(triton, **settings) as worker:
            await jobs.end(await jobs.speak())
            own.kill()
            worker.terminate()
            async with asyncio.timeout(300):
                assert await worker.wait() == 0
            await asyncio.to_thread(own.start)
