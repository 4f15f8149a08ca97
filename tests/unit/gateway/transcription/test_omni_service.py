"""The Qwen2.5-Omni transcription service, as its documentation gives it."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import srt

from gateway.omni import outputs
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment
from tritone.descriptions import TranscriptionDescription
from tritone.errors import Overloaded
from tritone.transcript import Transcript

RECORDING = encoded(parts(1), "flac", "flac")
OPTIONS = ("language", "temperature", "repetition_penalty", "max_new_tokens")


async def post(gateway: Gateway, path: str, name: str = "talk.flac", **fields: str) -> httpx.Response:
    return await gateway.http.post(f"/omni{path}", data=fields, files={"file": (name, RECORDING)})


@pytest.fixture
async def omni(triton: FakeTriton, whisper: FakeWhisper) -> FakeWhisper:
    """The model of the service in place of Whisper."""
    whisper.description = TranscriptionDescription(("zh",), ("transcribe",), OPTIONS, 300)
    triton.handlers["qwen2.5-omni-7b"] = whisper
    await triton.publish()
    return whisper


async def test_json_has_the_text_and_the_name_of_its_file(gateway: Gateway) -> None:
    answer = await post(gateway, "/transcribe/json")
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"status", "transcription", "output_file", "timestamp"}
    assert (body["status"], body["transcription"]) == ("success", "part 0")
    assert re.fullmatch(r"\d{14}\.txt", body["output_file"])
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None


@pytest.mark.parametrize(("sent", "text"), [("true", "軟件裏"), ("false", "软件里")])
async def test_chinese_is_written_in_traditional_characters(
    gateway: Gateway, omni: FakeWhisper, sent: str, text: str
) -> None:
    omni.script[0] = Transcript("", 0.0, (segment("软件里"),))
    assert (await post(gateway, "/transcribe/json", enable_s2t=sent)).json()["transcription"] == text


async def test_results_are_kept_in_the_folder_of_the_setting(serve: Serve, tmp_path: Path) -> None:
    async with serve(omni_output_dir=tmp_path / "outputs") as gateway:
        first, second = [(await post(gateway, "/transcribe/json")).json()["output_file"] for _ in range(2)]
    assert first != second
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == sorted([first, second])
    assert (tmp_path / "outputs" / first).read_text() == "part 0"


def test_files_of_one_second_have_different_names(tmp_path: Path) -> None:
    names = {outputs.store(tmp_path, str(number), ".txt") for number in range(20)}
    assert {(tmp_path / name).read_text() for name in names} == set(map(str, range(20)))


@pytest.mark.parametrize(
    ("sent", "plain", "encoded_name"),
    [
        ("audio.mp3", "audio.txt", "audio.txt"),
        ("회의 녹음.m4a", "__ __.txt", "%ED%9A%8C%EC%9D%98%20%EB%85%B9%EC%9D%8C.txt"),
        ('a"b\\c.wav', "c.txt", "c.txt"),
        ("../../etc/passwd", "passwd.txt", "passwd.txt"),
    ],
)
async def test_text_is_a_file_with_the_name_of_the_recording(
    gateway: Gateway, sent: str, plain: str, encoded_name: str
) -> None:
    answer = await post(gateway, "/transcribe", name=sent)
    assert (answer.status_code, answer.text) == (200, "part 0")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    disposition = answer.headers["content-disposition"]
    assert disposition == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded_name}"


async def test_subtitles_are_a_file_with_the_times_of_pieces_of_ten_seconds(gateway: Gateway) -> None:
    answer = await post(gateway, "/transcribe/srt", name="audio.mp3")
    assert "audio.srt" in answer.headers["content-disposition"]
    cues = list(srt.parse(answer.text))
    assert " ".join(cue.content for cue in cues) == "part 0 part 0 part 0"
    assert all(cue.end > cue.start for cue in cues)


async def test_the_options_of_the_form_reach_the_model(gateway: Gateway, triton: FakeTriton, omni: FakeWhisper) -> None:
    await gateway.follow(triton)
    fields = {"max_new_tokens": "100", "temperature": "0.5", "repetition_penalty": "1.2", "segment_duration": "20.0"}
    answer = await post(gateway, "/transcribe/json", **fields)
    assert answer.status_code == 200
    assert answer.headers["x-tritone-model"] == "qwen2.5-omni-7b"
    sent = omni.calls[0].parameters
    assert (sent["max_new_tokens"], sent["temperature"], sent["repetition_penalty"]) == (100, 0.5, 1.2)


async def test_defaults_of_the_service_are_not_forced_upon_other_models(
    gateway: Gateway, triton: FakeTriton, whisper: FakeWhisper
) -> None:
    whisper.description = TranscriptionDescription(("de",), ("transcribe",), ("language", "temperature"))
    await gateway.follow(triton)
    answer = await post(gateway, "/transcribe/json")
    assert "x-tritone-ignored" not in answer.headers
    assert not {"max_new_tokens", "temperature", "repetition_penalty"} & whisper.calls[0].parameters.keys()
    answer = await post(gateway, "/transcribe/json", max_new_tokens="100", mistake="1")
    assert answer.headers["x-tritone-ignored"] == "mistake, max_new_tokens"


@pytest.mark.parametrize("spelling", ["true", "True", "1", "on"])
async def test_a_browser_sends_booleans_as_text(gateway: Gateway, whisper: FakeWhisper, spelling: str) -> None:
    whisper.script = {0: Transcript("zh", 0.9, (segment(" 汉语"),))}
    assert (await post(gateway, "/transcribe/json", enable_s2t=spelling)).json()["transcription"] == "漢語"
    assert (await post(gateway, "/transcribe/json", enable_s2t="false")).json()["transcription"] == "汉语"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"segment_duration": "0"}, "segment_duration"),
        ({"max_new_tokens": "-1"}, "max_new_tokens"),
        ({"repetition_penalty": "9"}, "repetition_penalty"),
        ({"enable_s2t": "perhaps"}, "enable_s2t"),
    ],
)
async def test_a_wrong_field_is_named(gateway: Gateway, fields: dict[str, str], field: str) -> None:
    answer = await post(gateway, "/transcribe/json", **fields)
    assert answer.status_code == 400
    assert answer.json().keys() == {"status", "error"}
    assert answer.json()["error"].startswith(f"{field}: ")


@pytest.mark.parametrize("fields", [{"temperature": ""}, {"max_new_tokens": "null"}, {"enable_s2t": "undefined"}])
async def test_an_empty_field_was_not_sent(gateway: Gateway, fields: dict[str, str]) -> None:
    assert (await post(gateway, "/transcribe/json", **fields)).status_code == 200


@pytest.mark.parametrize("file", [None, ("a.wav", b""), ("a.wav", b"no audio")])
async def test_a_missing_or_unreadable_file_is_named(gateway: Gateway, file: Any) -> None:
    answer = await gateway.http.post("/omni/transcribe/json", data={"x": "1"}, files={"file": file} if file else None)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("file: ")


async def test_a_full_model_is_told(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.failures = {0: Overloaded("full", 3)}
    answer = await post(gateway, "/transcribe/srt")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json()["status"] == "error"


async def test_health_tells_whether_the_model_is_loaded(gateway: Gateway, triton: FakeTriton) -> None:
    body = (await gateway.http.get("/omni/health")).json()
    assert body.keys() == {
        *("status", "model_loaded", "gpu_available", "timestamp"),
        *("gpu_memory_allocated_gb", "gpu_memory_reserved_gb"),
    }
    assert (body["status"], body["model_loaded"]) == ("ok", True)
    triton.states["whisper-base"] = "loading"
    await gateway.follow(triton)
    assert (await gateway.http.get("/omni/health")).json()["model_loaded"] is False


async def test_a_browser_of_another_origin_may_send_requests(serve: Serve) -> None:
    async with serve(cors_origins="https://app.example.com") as gateway:
        answer = await gateway.http.post(
            "/omni/transcribe/json",
            files={"file": ("a.flac", RECORDING)},
            headers={"origin": "https://app.example.com"},
        )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
