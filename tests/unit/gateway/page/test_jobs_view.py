"""The view of jobs in a real browser: jobs are created, followed, cancelled and deleted, and their results shown."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Route, expect

from tests.chromium import violations
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.jobs.conftest import running_worker
from tests.unit.gateway.page.conftest import Open
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper


@pytest.fixture
def whisper() -> FakeWhisper:
    return FakeWhisper()


@pytest.fixture
async def jobs(serve: Serve, triton: FakeTriton, whisper: FakeWhisper, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with jobs, and their worker."""
    triton.handlers["whisper-base"] = whisper
    settings = {"jobs": True, "jobs_dir": str(tmp_path / "jobs"), "voices_dir": str(tmp_path / "voices")}
    async with serve(**settings) as gateway, running_worker(triton, **settings):
        await gateway.follow(triton)
        yield gateway


def upload(name: str, content: bytes) -> FilePayload:
    return FilePayload(name=name, mimeType="audio/wav", buffer=content)


async def test_jobs_are_created_followed_cancelled_and_deleted(
    visit: Open, jobs: Gateway, whisper: FakeWhisper
) -> None:
    async with visit("#jobs", url=jobs.url) as page:
        await expect(page.get_by_text("No jobs yet.")).to_be_visible()
        assert await violations(page) == ""
        await page.get_by_role("button", name="Try an example").click()
        await page.get_by_role("button", name="Start the job").click()
        spoken = page.locator(".job").filter(has_text="A job can speak")
        await expect(spoken).to_have_attribute("data-status", "completed")
        async with page.expect_download() as saved:
            await spoken.get_by_role("button", name="mp3").click()
        assert (await saved.value).suggested_filename.endswith(".mp3")
        await spoken.get_by_role("button", name="Listen").click()
        await expect(spoken.locator("audio")).to_be_visible()

        await page.get_by_role("button", name="Transcribe", exact=True).click()
        recording = encoded(parts(2), "wav", "pcm_s16le")
        async with whisper.holding(1):
            await page.locator(".drop input").set_input_files(upload("meeting.wav", recording))
            await page.get_by_role("button", name="Start the job").click()
            heard = page.locator(".job").filter(has_text="meeting.wav")
            await expect(heard).to_have_attribute("data-status", "running")
            await expect(heard.get_by_role("progressbar")).to_have_attribute("max", "1")
            assert await violations(page) == ""
        await expect(heard).to_have_attribute("data-status", "completed")
        await heard.get_by_role("button", name="Read").click()
        await expect(heard.locator(".result")).to_have_text("part 0 part 1")
        async with page.expect_download() as saved:
            await heard.get_by_label("Download “meeting.wav” as").select_option("srt")
        assert (await saved.value).suggested_filename == "meeting.srt"

        async with whisper.holding(0):
            await page.locator(".drop input").set_input_files(upload("late.wav", recording))
            await page.get_by_role("button", name="Start the job").click()
            late = page.locator(".job").filter(has_text="late.wav")
            await late.get_by_role("button", name="Cancel").click()
            await expect(late).to_have_attribute("data-status", "cancelled")
        await late.get_by_role("button", name="Delete “late.wav”").click()
        await page.locator("dialog").get_by_role("button", name="Delete").click()
        await expect(late).to_have_count(0)


async def test_a_failed_job_shows_its_error_and_a_server_without_jobs_says_what_to_set(
    visit: Open, jobs: Gateway, gateway: Gateway
) -> None:
    async with visit("#jobs", url=jobs.url, language="zh-TW", dark=True) as page:
        await page.locator(".drop input").set_input_files(upload("note.wav", b"no recording"))
        await page.locator("[data-act=submit]").click()
        await expect(page.locator(".error, .error-text").first).to_contain_text("file")
        assert await violations(page) == ""
    async with visit("#jobs", url=gateway.url) as page:
        await expect(page.locator("main")).to_contain_text("JOBS=true")


async def test_several_recordings_are_taken_at_once(visit: Open, jobs: Gateway) -> None:
    recording = encoded(parts(1), "wav", "pcm_s16le")
    async with visit("#jobs", url=jobs.url) as page:
        names = ["one.wav", "two.wav", "three.wav"]
        await page.locator(".drop input").set_input_files([upload(name, recording) for name in names])
        await expect(page.locator(".files li")).to_have_text(names)
        await page.get_by_role("button", name="Start the job").click()
        await expect(page.locator(".job[data-status=completed]")).to_have_count(3)


async def test_older_jobs_stay_when_an_answer_is_late_and_a_deleted_one_is_gone(
    visit: Open, serve: Serve, triton: FakeTriton, tmp_path: Path
) -> None:
    asked, late = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        response = await route.fetch()
        asked.set()
        await late.wait()
        await route.fulfill(response=response)

    newest = re.compile(r"/v1/audio/jobs\?limit=50$")
    async with serve(jobs=True, jobs_dir=str(tmp_path / "jobs")) as gateway:  # without a worker: they stay queued
        await gateway.follow(triton)
        for index in range(52):
            body = {"model": "kokoro-82m", "input": f"Text {index}."}
            assert (await gateway.http.post("/v1/audio/jobs", json=body)).status_code == 201
        async with visit("#jobs", url=gateway.url) as page:
            await expect(page.locator(".job")).to_have_count(50)
            await page.route(newest, hold, times=1)
            await asked.wait()
            await page.get_by_role("button", name="Show older jobs").click()
            await expect(page.locator(".job")).to_have_count(52)
            async with page.expect_response(newest):
                late.set()
            async with page.expect_request(newest):  # the next one, after the late answer was read
                pass
            await expect(page.locator(".job")).to_have_count(52)
            last = page.locator(".job").last
            id_ = await last.get_attribute("data-job")
            await last.get_by_role("button", name="Delete").click()
            await page.locator("dialog").get_by_role("button", name="Delete").click()
            await expect(page.locator(f".job[data-job={id_}]")).to_have_count(0)
            await expect(page.locator(".job")).to_have_count(51)


async def test_the_form_comes_once_the_server_is_back(visit: Open, jobs: Gateway) -> None:
    async def lost(route: Route) -> None:
        await route.abort("connectionrefused")

    async with visit(url=jobs.url) as page:
        await page.route("**/v1/models", lost)
        await page.get_by_role("link", name="Jobs").click()
        await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        await page.unroute("**/v1/models", lost)
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".drop")).to_be_visible()
