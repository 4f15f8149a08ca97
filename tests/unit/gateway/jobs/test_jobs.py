"""Jobs from their creation to their result."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import Any, get_args

import httpx

from gateway.core.api_keys import owner_of
from gateway.core.usage.usage import UsageCount, UsageKind, UsageRange
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import QWEN, FakeSpeech
from tests.unit.gateway.jobs.conftest import Jobs, calls_of
from tests.unit.gateway.recordings import part_of
from tests.unit.gateway.test_speech_timestamps import FakeAligner
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tests.unit.gateway.voices.conftest import recording

FORMATS = {
    "json": "part 0 part 1",
    "text": "part 0 part 1\n",
    "srt": "00:00:26,",
    "vtt": "WEBVTT",
    "verbose_json": '"duration":52.0',
}


async def test_a_transcription_job_gives_its_text_in_every_format(jobs: Jobs) -> None:
    job_id = await jobs.transcribe(response_format="srt")
    job = await jobs.end(job_id)
    assert (job["status"], job["type"], job["model"]) == ("completed", "transcription", "whisper-base")
    assert job["progress"] == {"seconds": 52.0, "fraction": 1.0}
    assert (await jobs.result(job_id)).text.startswith("1\n00:00:")
    for name, text in FORMATS.items():
        assert text in (await jobs.result(job_id, response_format=name)).text


async def test_a_jobs_form_may_have_the_spellings_of_many_clients(jobs: Jobs) -> None:
    fields = {"language": "", "response_format": "verbose_json", "timestamp_granularities[0]": "word"}
    job_id = await jobs.transcribe(1, **fields)
    await jobs.end(job_id)
    assert (await jobs.result(job_id)).json().keys() >= {"words", "language_code"}


async def test_the_windows_of_a_job_wait_behind_those_of_requests(jobs: Jobs, triton: FakeTriton) -> None:
    job_id = await jobs.transcribe()
    await jobs.end(job_id)
    calls = calls_of(job_id, triton)
    assert {part_of(call.inputs["audio"]) for call in calls} == {0, 1}
    assert all(call.parameters["background"] is True for call in calls)


async def test_a_running_job_reports_seconds_of_audio(jobs: Jobs, whisper: FakeWhisper) -> None:
    async with whisper.holding(1):
        job_id = await jobs.transcribe(language="en")
        job = await jobs.until(job_id, lambda job: job["progress"]["seconds"] > 0)
        assert job["status"] == "running"
        assert 19 < job["progress"]["seconds"] < 26
        assert 0.3 < job["progress"]["fraction"] < 0.6
        assert (await jobs.result(job_id)).status_code == 409
    assert (await jobs.end(job_id))["status"] == "completed"


async def test_a_long_text_is_spoken_in_parts_and_joined(jobs: Jobs, triton: FakeTriton, kokoro: FakeSpeech) -> None:
    text = "\n\n".join(["A sentence of the first paragraph. " * 12, "And one of the second. " * 12])
    job_id = await jobs.speak(text)
    assert (await jobs.end(job_id))["status"] == "completed"
    spoken = [call.inputs["text"].item().decode() for call in calls_of(job_id, triton)]
    assert spoken == [part.strip() for part in text.split("\n\n")]
    with wave.open(io.BytesIO((await jobs.result(job_id)).content)) as audio:
        seconds = audio.getnframes() / audio.getframerate()
    assert seconds == sum(len(chunk) for chunk in kokoro.chunks) / kokoro.rate * 2


async def test_a_job_may_hold_nothing_but_pauses(jobs: Jobs) -> None:
    job_id = await jobs.speak("... [pause 250ms]")
    job = await jobs.end(job_id)
    assert (job["status"], job["error"]) == ("completed", None)
    with wave.open(io.BytesIO((await jobs.result(job_id)).content)) as audio:
        assert audio.getnframes() / audio.getframerate() == 0.25


async def test_a_job_speaks_pauses_and_voices(jobs: Jobs, triton: FakeTriton, kokoro: FakeSpeech) -> None:
    text = "One. [pause 1.5s] [voice:af_bella] Two. [pause 250ms]"
    job_id = await jobs.speak(text, allow_voice_tags=True)
    assert (await jobs.end(job_id))["status"] == "completed"
    calls = [(call.inputs["text"].item().decode(), call.parameters.get("voice")) for call in calls_of(job_id, triton)]
    assert calls == [("One.", None), ("Two.", "af_bella")]
    with wave.open(io.BytesIO((await jobs.result(job_id)).content)) as audio:
        assert audio.getnframes() == 2 * sum(map(len, kokoro.chunks)) + round(1.75 * kokoro.rate)
    response = await jobs.post(json={"model": "kokoro-82m", "input": "[voice:x] Hi.", "allow_voice_tags": True})
    assert response.status_code == 400
    assert "the voice tag at character 1" in response.json()["error"]["message"]


async def test_a_job_speaks_ssml(jobs: Jobs, triton: FakeTriton) -> None:
    job_id = await jobs.speak("<speak>One.<break time='1s'/>Two.</speak>")
    assert (await jobs.end(job_id))["status"] == "completed"
    assert [call.inputs["text"].item().decode() for call in calls_of(job_id, triton)] == ["One.", "Two."]
    assert (await jobs.post(json={"model": "kokoro-82m", "input": "<speak>One"})).status_code == 400


async def test_a_job_has_the_times_of_its_words_in_every_form(jobs: Jobs, triton: FakeTriton) -> None:
    triton.handlers["whisper-base"] = aligner = FakeAligner()
    text = "Good *morning*. [pause 500ms] It costs five."
    job_id = await jobs.speak(text, timestamp_granularities=["word"])
    job = await jobs.end(job_id)
    assert (job["status"], job["error"]) == ("completed", None)
    assert [call.parameters["known_text"] for call in aligner.calls] == ["Good morning.", "It costs five."]
    times = (await jobs.result(job_id, response_format="verbose_json")).json()
    assert times["duration"] == job["progress"]["seconds"] == 2 * 1.2 + 0.5
    words = [(word["word"], word["start"], word["end"]) for word in times["words"]]
    assert words[:2] == [("Good", 0.05, 0.15), ("morning.", 0.15, 0.25)]
    assert words[2:] == [("It", 1.75, 1.85), ("costs", 1.85, 1.95), ("five.", 1.95, 2.05)]
    assert "segments" not in times
    query = {"response_format": "verbose_json", "timestamp_granularities[]": "segment"}
    segments = (await jobs.result(job_id, **query)).json()["segments"]
    assert [(s["text"], s["start"], s["end"]) for s in segments] == [
        ("Good morning.", 0.05, 0.25),
        ("It costs five.", 1.75, 2.05),
    ]
    subtitles = await jobs.result(job_id, response_format="srt")
    assert subtitles.text.startswith("1\n00:00:00,050 --> ")
    assert (await jobs.result(job_id, response_format="vtt")).text.startswith("WEBVTT")
    assert (await jobs.result(job_id)).headers["content-type"] == "audio/wav"


async def test_a_job_without_times_says_how_to_get_them(jobs: Jobs) -> None:
    job_id = await jobs.speak("Hi.")
    await jobs.end(job_id)
    for wanted, problem in [("srt", "created without timestamp_granularities"), ("mp3", "choose from: wav, and")]:
        response = await jobs.result(job_id, response_format=wanted)
        error = response.json()["error"]
        assert (response.status_code, error["param"]) == (400, "response_format")
        assert problem in error["message"]


async def test_a_job_counts_as_the_usage_of_its_key(jobs: Jobs, whisper: FakeWhisper) -> None:
    async def amounts() -> dict[str, UsageCount]:
        """Return alice's usage; the worker writes its own every few seconds."""
        totals = {}
        for kind in get_args(UsageKind):
            counts = await jobs.gateway.services.usage.totals(UsageRange(kind, 0, 2**40, 86_400))
            own = [count for key, count in counts.items() if key.owner == owner_of(b"alice")]
            totals[kind] = sum(own, UsageCount())
        return totals

    before = await amounts()
    for job_id in (await jobs.speak("Good morning."), await jobs.transcribe(2)):
        assert (await jobs.end(job_id))["status"] == "completed"
    grown: set[str] = set()
    async with asyncio.timeout(300):  # the worker may also write those of earlier tests
        while grown != {"speech", "transcription"}:
            await asyncio.sleep(0.1)
            after = await amounts()
            for kind, amount in (("speech", len("Good morning.")), ("transcription", 51.9)):
                if after[kind].amount >= before[kind].amount + amount and after[kind].requests > before[kind].requests:
                    grown.add(kind)


async def test_a_cancelled_job_stops_the_model_and_has_no_result(jobs: Jobs, whisper: FakeWhisper) -> None:
    async with whisper.holding(0):
        job_id = await jobs.transcribe()
        async with asyncio.timeout(300):
            await whisper.arrived[0].wait()
            response = await jobs.gateway.http.post(f"/v1/audio/jobs/{job_id}/cancel")
            assert response.json()["status"] == "cancelled"
            await whisper.calls[0].cancelled.wait()
    assert (await jobs.get(job_id))["status"] == "cancelled"
    assert (await jobs.result(job_id)).status_code == 409


async def test_a_completed_job_cannot_be_cancelled(jobs: Jobs) -> None:
    job_id = await jobs.speak()
    await jobs.end(job_id)
    response = await jobs.gateway.http.post(f"/v1/audio/jobs/{job_id}/cancel")
    assert response.status_code == 409
    assert "completed already" in response.json()["error"]["message"]


async def test_a_deleted_job_is_gone_with_its_files(jobs: Jobs) -> None:
    job_id = await jobs.speak()
    await jobs.end(job_id)
    backend = jobs.gateway.services.jobs
    assert backend
    assert backend.files.folder(job_id).exists()
    response = await jobs.gateway.http.delete(f"/v1/audio/jobs/{job_id}")
    assert response.json() == {"id": job_id, "object": "audio.job", "deleted": True}
    assert (await jobs.gateway.http.get(f"/v1/audio/jobs/{job_id}")).status_code == 404
    assert not backend.files.folder(job_id).exists()


async def test_an_idempotency_key_makes_one_job_of_two_requests(jobs: Jobs) -> None:
    headers = {"idempotency-key": "once"}
    body = {"model": "kokoro-82m", "input": "Good morning."}
    first = await jobs.create(json=body, headers=headers)
    assert await jobs.create(json=body, headers=headers) == first
    other = await jobs.post(json={**body, "input": "Good night."}, headers=headers)
    assert other.status_code == 409
    assert "Idempotency-Key" in other.json()["error"]["message"]
    await jobs.end(first)
    assert await jobs.create(json=body, headers=headers) == first


async def test_a_key_sees_only_its_own_jobs(jobs: Jobs) -> None:
    job_id = await jobs.speak()
    bob = {"authorization": "Bearer bob"}
    http: httpx.AsyncClient = jobs.gateway.http
    path = f"/v1/audio/jobs/{job_id}"
    for method, route in (("GET", path), ("GET", f"{path}/result"), ("POST", f"{path}/cancel"), ("DELETE", path)):
        assert (await http.request(method, route, headers=bob)).status_code == 404
    assert job_id not in (await http.get("/v1/audio/jobs", headers=bob)).text
    assert (await jobs.end(job_id))["status"] == "completed"


async def test_a_list_has_the_newest_jobs_first_and_continues_behind_a_job(jobs: Jobs) -> None:
    # The ids of jobs with keys have no time in them, and a database may date all of these to one second.
    body = {"model": "kokoro-82m", "input": "Good morning."}
    made = [await jobs.create(json=body, headers={"idempotency-key": f"{number} of a list"}) for number in range(3)]
    http = jobs.gateway.http
    first = (await http.get("/v1/audio/jobs", params={"limit": 2})).json()
    assert [job["id"] for job in first["data"]] == made[:0:-1]
    assert first["has_more"] is True
    second = (await http.get("/v1/audio/jobs", params={"limit": 1, "after": first["last_id"]})).json()
    assert [job["id"] for job in second["data"]] == made[:1]
    for job_id in made:
        await jobs.end(job_id)


async def test_a_job_speaks_in_a_registered_voice_of_its_key(jobs: Jobs, triton: FakeTriton) -> None:
    clone = "qwen3-tts-0.6b-clone"
    triton.handlers[clone] = FakeSpeech(description=QWEN[clone])
    await jobs.gateway.follow(triton)
    form: dict[str, Any] = {"data": {"name": "Anna", "ref_text": "A tone."}, "files": {"audio_sample": recording()}}
    voice = (await jobs.gateway.http.post("/v1/audio/voices", **form)).json()
    job = await jobs.end(await jobs.speak(model="tts-1", voice="anna"))
    assert (job["status"], job["model"]) == ("completed", clone)
    (call,) = [call for call in triton.calls if call.model == clone and "ref_audio" in call.inputs]
    assert call.parameters["ref_text"] == "A tone."
    bobs = {"authorization": "Bearer bob"}
    body = {"model": "tts-1", "input": "Hello.", "voice": voice["id"]}
    assert (await jobs.post(json=body, headers=bobs)).status_code == 404
    await jobs.gateway.http.delete(f"/v1/audio/voices/{voice['id']}")
    assert (await jobs.post(json=body)).status_code == 404
