"""Jobs with real models, and a worker that is killed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.server import Server, descendants
from tests.e2e.words import ENGLISH

PATIENCE = 300.0


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.url}/v1/audio", timeout=300) as client:
        yield client


def until(http: httpx.Client, job_id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until the job is so."""
    deadline = time.monotonic() + PATIENCE
    while not holds(job := http.get(f"/jobs/{job_id}").raise_for_status().json()):
        assert time.monotonic() < deadline, job
        time.sleep(0.2)
    return dict(job)


def end(http: httpx.Client, job_id: str) -> dict[str, Any]:
    return until(http, job_id, lambda job: job["status"] not in ("queued", "running"))


def create(http: httpx.Client, **request: Any) -> str:
    return str(http.post("/jobs", **request).raise_for_status().json()["id"])


def test_a_spoken_text_is_transcribed_although_its_worker_is_killed(http: httpx.Client, server: Server) -> None:
    text = " ".join(ENGLISH[:2])
    spoken = create(http, json={"model": "tts-1", "input": text, "voice": "alloy", "response_format": "wav"})
    until(http, spoken, lambda job: job["status"] != "queued")
    (worker,) = [child for child in descendants(server.process.pid) if "gateway.jobs" in child.cmdline()]
    worker.kill()
    job = end(http, spoken)
    assert (job["status"], job["model"]) == ("completed", "kokoro-82m"), job
    audio = http.get(f"/jobs/{spoken}/result").raise_for_status()
    assert audio.headers["content-type"] == "audio/wav"

    heard = create(http, data={"model": "whisper-1"}, files={"file": ("speech.wav", audio.content)})
    job = end(http, heard)
    assert (job["status"], job["model"]) == ("completed", "whisper-base"), job
    words = http.get(f"/jobs/{heard}/result", params={"response_format": "text"}).text.lower().split()
    assert len(set(words) & set(text.lower().split())) > len(set(text.split())) / 2
    assert "-->" in http.get(f"/jobs/{heard}/result", params={"response_format": "srt"}).text


def test_a_spoken_text_has_the_times_of_its_words_and_subtitles(http: httpx.Client) -> None:
    text = " ".join(ENGLISH[:2])
    spoken = create(http, json={"model": "tts-1", "input": text, "timestamp_granularities": ["word", "segment"]})
    job = end(http, spoken)
    assert job["status"] == "completed", job
    times = http.get(f"/jobs/{spoken}/result", params={"response_format": "verbose_json"}).raise_for_status().json()
    assert " ".join(word["word"] for word in times["words"]) == text
    edges = [edge for word in times["words"] for edge in (word["start"], word["end"])]
    assert edges == sorted(edges)
    assert 0 < edges[0] < edges[-1] < times["duration"] == job["progress"]["seconds"]
    subtitles = http.get(f"/jobs/{spoken}/result", params={"response_format": "srt"}).raise_for_status()
    assert subtitles.text.count("-->") >= 2


def test_a_cancelled_job_ends_at_once_and_its_worker_goes_on(http: httpx.Client) -> None:
    long = create(http, json={"model": "tts-1", "input": " ".join(ENGLISH) * 20, "voice": "alloy"})
    until(http, long, lambda job: job["status"] != "queued")
    assert http.post(f"/jobs/{long}/cancel").raise_for_status().json()["status"] == "cancelled"
    short = create(http, json={"model": "tts-1", "input": "Yes.", "voice": "alloy"})
    assert end(http, short)["status"] == "completed"
    assert http.get(f"/jobs/{long}").json()["status"] == "cancelled"
