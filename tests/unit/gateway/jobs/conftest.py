"""A gateway with jobs and a worker, a process of its own, on SQLite and on PostgreSQL.

They end with the last test of this folder: an idle worker looks for jobs several times a second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import postgres
from tests.fake_triton import Call, FakeTriton
from tests.unit.gateway.conftest import Gateway, _serve
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper

ROOT = Path(__file__).parents[4]
SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHM="
UNFINISHED = ("queued", "running")


def multipart(**fields: str) -> dict[str, tuple[None, str]]:
    """Return the fields of a form without a file as `httpx` sends them in parts."""
    return {name: (None, value) for name, value in fields.items()}


@dataclass
class Jobs:
    """A gateway with jobs, as a client with the key `alice` sees it."""

    gateway: Gateway
    settings: dict[str, Any]
    """The settings of the store."""

    async def post(self, **request: Any) -> httpx.Response:
        if "data" in request and "files" not in request:
            request["files"] = multipart(**request.pop("data"))
        return await self.gateway.http.post("/v1/audio/jobs", headers=request.pop("headers", {}), **request)

    async def create(self, **request: Any) -> str:
        """Create a job, and return its id."""
        response = await self.post(**request)
        assert response.status_code == 201, response.text
        created: str = response.json()["id"]
        return created

    async def transcribe(self, count: int = 2, **fields: Any) -> str:
        """Create the transcription of a recording of so many parts."""
        file = ("speech.wav", encoded(parts(count), "wav", "pcm_s16le"))
        return await self.create(data={"model": "whisper-base", **fields}, files={"file": file})

    async def speak(self, text: str = "Good morning.", **fields: Any) -> str:
        """Create the synthesis of a text."""
        return await self.create(json={"model": "kokoro-82m", "input": text, "response_format": "wav", **fields})

    async def get(self, job_id: str) -> dict[str, Any]:
        response = await self.gateway.http.get(f"/v1/audio/jobs/{job_id}")
        assert response.status_code == 200, response.text
        job: dict[str, Any] = response.json()
        return job

    async def ids(self) -> list[str]:
        """Return the ids of the newest jobs."""
        return [job["id"] for job in (await self.gateway.http.get("/v1/audio/jobs")).json()["data"]]

    async def until(self, job_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the job is so."""
        async with asyncio.timeout(300):
            while not holds(job := await self.get(job_id)):  # noqa: ASYNC110 - a client has no event for it
                await asyncio.sleep(0.1)
        return job

    async def end(self, job_id: str) -> dict[str, Any]:
        """Return the job after its end."""
        return await self.until(job_id, lambda job: job["status"] not in UNFINISHED)

    async def result(self, job_id: str, **query: str) -> httpx.Response:
        return await self.gateway.http.get(f"/v1/audio/jobs/{job_id}/result", params=query)


def calls_of(job_id: str, triton: FakeTriton) -> list[Call]:
    """Return the calls of one job; jobs of other tests may still be in work."""
    return [call for call in triton.calls if call.request_id.startswith(job_id)]


StartWorker = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]


@pytest.fixture(scope="package")
def database() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server for all tests."""
    if postgres.programs() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(postgres.HOW_TO_INSTALL)
    with postgres.Postgres() as running:
        yield running


@pytest.fixture(scope="package", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Return the settings of an empty store with this name."""

    def settings(name: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(f"{name}-{request.param}")
        url = request.getfixturevalue("database").url(name) if request.param == "postgres" else ""
        return {"jobs_dir": str(folder), "jobs_url": url, "voices_dir": str(folder / "voices")}

    return settings


@asynccontextmanager
async def running_worker(triton: FakeTriton, **settings: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a worker."""
    variables = {name.upper(): str(value) for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.unit.gateway.jobs.worker"),
        cwd=ROOT,
        env={**os.environ, "TRITON_GRPC_URL": triton.address, **variables},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(300):
            await process.wait()


@asynccontextmanager
async def running_jobs(triton: FakeTriton, **settings: Any) -> AsyncIterator[Jobs]:
    """Run a gateway for the clients `alice` and `bob`."""
    stored = {name: settings[name] for name in ("jobs_dir", "jobs_url")}
    async with _serve(triton, jobs=True, api_keys="alice,bob", **settings) as gateway:
        gateway.http.headers["authorization"] = "Bearer alice"
        yield Jobs(gateway, stored)


SETTINGS: dict[str, Any] = {
    "jobs_callback_secret": SECRET,
    "allow_job_urls": True,
    "jobs_hosts": "127.0.0.1",
    "jobs_wait": 600,
    "voices_need_consent": False,
}


@pytest.fixture(scope="package")
async def _jobs(_triton: FakeTriton, store: Callable[[str], dict[str, Any]]) -> AsyncIterator[Jobs]:
    settings = {**SETTINGS, **store("shared")}
    async with running_jobs(_triton, **settings) as jobs, running_worker(_triton, **settings):
        yield jobs


@pytest.fixture
def whisper() -> FakeWhisper:
    return FakeWhisper()


@pytest.fixture
async def triton(triton: FakeTriton, whisper: FakeWhisper) -> FakeTriton:
    triton.handlers["whisper-base"] = whisper
    return triton


@pytest.fixture
async def jobs(_jobs: Jobs, triton: FakeTriton) -> Jobs:
    """A gateway and a worker for all tests, on each store."""
    await _jobs.gateway.follow(triton)
    return _jobs
