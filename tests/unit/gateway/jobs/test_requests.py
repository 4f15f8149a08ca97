"""What clients of jobs may send, what they are told, and what is sent to them."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.core.database import database_url
from gateway.core.errors import JobsUnavailable
from gateway.core.jobs.database import SERIALIZER
from gateway.core.jobs.dbos_store import DbosStore
from gateway.core.jobs.files import JobFiles
from gateway.core.jobs.janitor import remove_expired
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Serve
from tests.unit.gateway.jobs.conftest import SECRET, Jobs, multipart
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tritone.errors import TritoneError

SPEECH = {"model": "kokoro-82m", "input": "Good morning."}


@dataclass
class Site:
    """A client's own HTTP server: it serves a recording, and takes callbacks with the first of `statuses`."""

    url: str = ""
    body: bytes = b""
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], str]] = field(default_factory=list)
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        status = 200
        if request.startswith("POST"):
            status = self.statuses.pop(0) if self.statuses else 200
            self.received.append((headers, (await reader.readexactly(int(headers["content-length"]))).decode()))
        content = self.body if request.startswith("GET") else b""
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(content)))
        writer.write(content)
        await writer.drain()
        writer.close()
        if request.startswith("POST") and status == 200:
            self.taken.set()


@asynccontextmanager
async def running_site() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site, "127.0.0.1", 0)
    async with server:
        site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        yield site


async def test_a_recording_is_fetched_from_its_address(jobs: Jobs) -> None:
    async with running_site() as site:
        site.body = encoded(parts(1), "wav", "pcm_s16le")
        job_id = await jobs.create(data={"model": "whisper-base", "url": site.url})
        assert (await jobs.end(job_id))["status"] == "completed"
    assert (await jobs.result(job_id)).json()["text"] == "part 0"


async def test_an_internal_address_is_not_fetched(jobs: Jobs) -> None:
    job_id = await jobs.create(data={"model": "whisper-base", "url": "http://127.0.0.2/secret.wav"})
    job = await jobs.end(job_id)
    assert job["error"]["param"] == "url"
    assert "not a public one" in job["error"]["message"]


@pytest.mark.parametrize(("statuses", "deliveries"), [([], 1), ([500, 503], 3)])
async def test_the_end_of_a_job_is_posted_signed_and_repeated_until_it_is_taken(
    jobs: Jobs, statuses: list[int], deliveries: int
) -> None:
    async with running_site() as site:
        site.statuses = list(statuses)
        job_id = await jobs.speak(callback_url=site.url)
        async with asyncio.timeout(300):
            await site.taken.wait()
        assert (await jobs.get(job_id))["status"] == "completed"
    assert len(site.received) == deliveries
    client = openai.OpenAI(api_key="unused", webhook_secret=SECRET)
    for headers, body in site.received:
        client.webhooks.verify_signature(body, headers)
        assert json.loads(body)["data"] == {"id": job_id}
        assert json.loads(body)["type"] == "audio.job.completed"


async def test_a_failed_and_a_cancelled_job_are_posted_too(
    jobs: Jobs, whisper: FakeWhisper, kokoro: FakeSpeech
) -> None:
    kokoro.chunks, kokoro.failure = [], TritoneError("odd")
    async with running_site() as site, whisper.holding(0):
        failed = await jobs.speak(callback_url=site.url)
        cancelled = await jobs.transcribe(callback_url=site.url)
        assert (await jobs.end(failed))["status"] == "failed"
        await jobs.gateway.http.post(f"/v1/audio/jobs/{cancelled}/cancel")
        async with asyncio.timeout(300):
            while len(site.received) < 2:  # noqa: ASYNC110 - the site has one event for both
                await asyncio.sleep(0.05)
    events = {json.loads(body)["data"]["id"]: json.loads(body)["type"] for _, body in site.received}
    assert events == {failed: "audio.job.failed", cancelled: "audio.job.cancelled"}


async def test_a_recording_without_audio_fails_its_job_with_the_fields_name(jobs: Jobs) -> None:
    job_id = await jobs.create(data={"model": "whisper-base"}, files={"file": ("a.wav", b"no audio")})
    job = await jobs.end(job_id)
    assert (job["status"], job["error"]["param"]) == ("failed", "file")
    assert job["error"]["message"].startswith("file: it could not be decoded")
    assert (await jobs.result(job_id)).status_code == 409


async def test_a_translation_job_sends_the_task(jobs: Jobs, whisper: FakeWhisper) -> None:
    job_id = await jobs.transcribe(1, task="translate")
    assert (await jobs.end(job_id))["status"] == "completed"
    assert whisper.calls[0].parameters["task"] == "translate"
    assert (await jobs.result(job_id, response_format="verbose_json")).json()["language"] == "english"


async def test_fields_without_effect_are_named(jobs: Jobs) -> None:
    response = await jobs.post(json={**SPEECH, "stream": False, "unknown": 1})
    assert response.headers["x-tritone-ignored"] == "stream, unknown"
    assert response.headers["location"] == f"/v1/audio/jobs/{response.json()['id']}"
    await jobs.end(response.json()["id"])  # its calls are none of the next test's


@pytest.mark.parametrize(
    ("request_", "status", "param"),
    [
        ({"json": {**SPEECH, "input": " "}}, 400, "input"),
        ({"json": {**SPEECH, "model": "none"}}, 404, "model"),
        ({"json": {**SPEECH, "voice": "nobody"}}, 400, "voice"),
        ({"json": {**SPEECH, "callback_url": "ftp://example.com"}}, 400, "callback_url"),
        ({"data": {"model": "whisper-base"}}, 400, "url"),
        ({"data": {"model": "whisper-base", "url": "file:///etc/passwd"}}, 400, "url"),
        ({"data": {"model": "whisper-base"}, "files": {"file": ("a.wav", b"")}}, 400, "file"),
        ({"data": {"model": "whisper-base", "language": "xx"}, "files": {"file": ("a.wav", b"x")}}, 400, "language"),
    ],
)
async def test_a_wrong_request_is_rejected_before_it_is_a_job(
    jobs: Jobs, request_: dict[str, Any], status: int, param: str
) -> None:
    before = await jobs.ids()
    response = await jobs.post(**request_)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param), response.text
    assert await jobs.ids() == before


async def test_a_full_disk_is_reported_and_leaves_no_job(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: JobFiles, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = await jobs.ids()
    monkeypatch.setattr(JobFiles, "write", full)
    response = await jobs.post(json=SPEECH)
    assert response.status_code == 507
    assert await jobs.ids() == before


async def test_a_job_whose_creation_lost_its_answer_runs_all_the_same(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = DbosStore.create

    async def lose(*given: Any) -> Any:
        await create(*given)
        raise JobsUnavailable("the connection broke behind the commit")

    headers = {"idempotency-key": "lost answer"}
    monkeypatch.setattr(DbosStore, "create", lose)
    assert (await jobs.post(json=SPEECH, headers=headers)).status_code == 503
    monkeypatch.undo()
    assert (await jobs.end(await jobs.create(json=SPEECH, headers=headers)))["status"] == "completed"


async def test_expired_jobs_are_removed_with_their_files(jobs: Jobs) -> None:
    from dbos import DBOSClient

    job_id = await jobs.speak()
    await jobs.end(job_id)
    url = database_url(jobs.settings["jobs_url"], Path(jobs.settings["jobs_dir"]))
    client = DBOSClient(system_database_url=url, serializer=SERIALIZER)
    files = JobFiles(Path(jobs.settings["jobs_dir"]))
    try:
        await asyncio.to_thread(remove_expired, client, files, 3600)
        assert (await jobs.get(job_id))["status"] == "completed"
        await asyncio.to_thread(remove_expired, client, files, -3600)
    finally:
        await asyncio.to_thread(client.destroy)
    assert (await jobs.gateway.http.get(f"/v1/audio/jobs/{job_id}")).status_code == 404
    assert not files.folder(job_id).exists()


async def test_a_gateway_without_jobs_says_so(serve: Serve, triton: FakeTriton) -> None:
    async with serve() as gateway:
        response = await gateway.http.get("/v1/audio/jobs")
    assert response.status_code == 404
    assert "JOBS" in response.json()["error"]["message"]


async def test_callbacks_and_addresses_are_off_by_default(serve: Serve, tmp_path: Path, triton: FakeTriton) -> None:
    async with serve(jobs=True, jobs_dir=tmp_path) as gateway:
        await gateway.follow(triton)
        callback = await gateway.http.post("/v1/audio/jobs", json={**SPEECH, "callback_url": "https://example.com"})
        assert "JOBS_CALLBACK_SECRET" in callback.json()["error"]["message"]
        form = multipart(model="whisper-base", url="https://example.com/a.wav")
        address = await gateway.http.post("/v1/audio/jobs", files=form)
        assert "ALLOW_JOB_URLS" in address.json()["error"]["message"]
