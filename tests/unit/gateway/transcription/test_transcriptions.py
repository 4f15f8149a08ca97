"""`/v1/audio/transcriptions` and `/v1/audio/translations`, by the official client and by plain HTTP."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import openai
import pytest

from gateway.core.speech_detectors import SpeechDetectors
from gateway.core.transcription_result import TranscriptionResult
from gateway.openai.transcription import responses
from gateway.openai.transcription.requests import ResponseFormat
from tests.fake_triton import FakeTriton, Status
from tests.unit.gateway.conftest import FAR, Gateway, Serve
from tests.unit.gateway.recordings import RATE, encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment
from tritone.contract import LISTEN_RATE
from tritone.transcript import Transcript

SHORT = encoded(parts(1), "flac", "flac")
LONG = encoded(parts(7), "flac", "flac")
FILE = ("speech.flac", SHORT)
URL = "/v1/audio/transcriptions"


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def post(gateway: Gateway, url: str = URL, file: Any = FILE, **fields: Any) -> httpx.Response:
    return await gateway.http.post(url, data={"model": "whisper-1", **fields}, files={"file": file})


async def test_json_has_text_and_usage(gateway: Gateway) -> None:
    answer = await gateway.openai.audio.transcriptions.create(model="whisper-1", file=FILE)
    assert answer.text == "part 0"
    assert answer.usage is not None
    assert answer.usage.to_dict() == {"type": "duration", "seconds": 26}


async def test_usage_of_a_gpt_model_is_in_tokens_of_audio_and_text(
    gateway: Gateway, triton: FakeTriton, whisper: FakeWhisper
) -> None:
    whisper.description = replace(whisper.description, audio_token_rate=25)
    await gateway.follow(triton)
    answer = await gateway.openai.audio.transcriptions.create(model="gpt-4o-transcribe", file=FILE)
    (call,) = whisper.calls.values()
    audio = math.ceil(call.inputs["audio"].size / LISTEN_RATE * 25)
    assert answer.usage is not None
    assert answer.usage.to_dict() == {
        "type": "tokens",
        "input_tokens": audio,
        "input_token_details": {"audio_tokens": audio, "text_tokens": 0},
        "output_tokens": 3,
        "total_tokens": audio + 3,
    }


async def test_verbose_json_has_segments_with_every_field(gateway: Gateway) -> None:
    answer = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=("long.flac", LONG), response_format="verbose_json"
    )
    assert (answer.language, answer.duration, answer.words) == ("german", 182.0, None)
    assert answer.to_dict()["task"] == "transcribe"
    assert answer.text == " ".join(f"part {n}" for n in range(7))
    assert answer.usage is not None
    assert answer.usage.seconds == 182
    assert answer.segments is not None
    assert [s.id for s in answer.segments] == list(range(7))
    third = answer.segments[2]
    # The third tone starts at 52 s, and its window 0.4 s before.
    assert third.start == pytest.approx(52.1, abs=0.05)
    assert third.end == pytest.approx(53.6, abs=0.05)
    assert third.seek == pytest.approx(5160, abs=5)
    assert third.tokens == [1, 2, 3]
    numbers = (third.temperature, third.avg_logprob, third.compression_ratio, third.no_speech_prob)
    assert numbers == pytest.approx((0.0, -0.25, 1.5, 0.01))


@pytest.mark.parametrize("granularities", [["word"], ["segment"], ["word", "segment"]])
async def test_verbose_json_has_the_requested_granularities(
    gateway: Gateway, whisper: FakeWhisper, granularities: list[Any]
) -> None:
    answer = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE, response_format="verbose_json", timestamp_granularities=granularities
    )
    assert (answer.words is not None) == ("word" in granularities)
    assert (answer.segments is not None) == ("segment" in granularities)
    assert whisper.calls[0].parameters.get("word_timestamps", False) == ("word" in granularities)
    if answer.words:
        assert [word.to_dict() for word in answer.words] == [
            {"word": "part", "start": 0.5, "end": 1.0},
            {"word": "0", "start": 1.5, "end": 2.0},
        ]


async def test_a_stream_has_each_segment_with_its_words_if_they_are_requested(
    gateway: Gateway, whisper: FakeWhisper
) -> None:
    stream = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE, stream=True, timestamp_granularities=["word"]
    )
    delta, segment, _done = [event.to_dict() async for event in stream]
    assert (delta["segment_id"], segment["id"], segment["text"]) == ("seg_0", "seg_0", "part 0")
    assert segment["words"] == [
        {"word": "part", "start": 0.5, "end": 1.0},
        {"word": "0", "start": 1.5, "end": 2.0},
    ]
    assert "speaker" not in segment
    assert whisper.calls[0].parameters["word_timestamps"]


async def test_granularities_without_brackets_are_accepted(gateway: Gateway) -> None:
    response = await post(gateway, response_format="verbose_json", timestamp_granularities=["word"])
    assert "words" in response.json()
    assert "segments" not in response.json()


@pytest.mark.parametrize(
    ("response_format", "content_type", "text"),
    [
        ("text", "text/plain; charset=utf-8", "part 0\n"),
        ("srt", "text/plain; charset=utf-8", "1\n00:00:00,500 --> 00:00:02,000\npart 0\n\n"),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\npart 0\n\n"),
    ],
)
async def test_a_text_format_has_its_content_type(
    gateway: Gateway, response_format: Any, content_type: str, text: str
) -> None:
    response = await post(gateway, response_format=response_format)
    assert response.headers["content-type"] == content_type
    assert response.text == text
    answer = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE, response_format=response_format
    )
    assert answer == text


async def test_events_carry_the_text_as_it_is_transcribed(gateway: Gateway, whisper: FakeWhisper) -> None:
    async with whisper.holding(1):
        stream = await gateway.openai.audio.transcriptions.create(
            model="whisper-1", file=("long.flac", LONG), stream=True
        )
        first = await anext(stream)
        assert first.to_dict() == {"type": "transcript.text.delta", "delta": "part 0"}
    events = [first] + [event async for event in stream]
    *deltas, done = [event.to_dict() for event in events]
    assert [delta["type"] for delta in deltas] == ["transcript.text.delta"] * 7
    assert done["type"] == "transcript.text.done"
    assert done["text"] == "".join(str(delta["delta"]) for delta in deltas)
    usage = done["usage"]
    assert isinstance(usage, dict)
    assert usage["type"] == "tokens"
    assert usage["output_tokens"] == 21
    assert usage["total_tokens"] == usage["input_tokens"] + 21


async def test_a_failure_in_mid_stream_reaches_the_client(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.failures[2] = Status(grpc.StatusCode.INTERNAL, "secret")
    async with whisper.holding(2):
        stream = await gateway.openai.audio.transcriptions.create(
            model="whisper-1", file=("long.flac", LONG), stream=True
        )
        await anext(stream)
    with pytest.raises(openai.APIError) as failure:
        [event async for event in stream]
    assert "secret" not in str(failure.value)


async def test_a_failure_before_the_first_event_has_a_status(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.failures[0] = Status(grpc.StatusCode.UNAVAILABLE, "full")
    with pytest.raises(openai.InternalServerError) as failure:
        await gateway.openai.audio.transcriptions.create(model="whisper-1", file=FILE, stream=True)
    assert failure.value.status_code == 503


async def test_the_model_gets_the_requests_options(gateway: Gateway, whisper: FakeWhisper) -> None:
    answer = await gateway.openai.audio.transcriptions.with_raw_response.create(
        model="gpt-4o-transcribe", file=FILE, language="pt-BR", prompt="Luís", temperature=0.25
    )
    assert answer.headers["x-tritone-model"] == "whisper-base"
    call = whisper.calls[0]
    assert call.request_id == answer.headers["x-request-id"]
    assert call.parameters == {"language": "pt", "prompt": "Luís", "temperature": 0.25, "clip": True, "priority": 1}
    assert call.inputs["audio"].dtype == np.float32
    assert call.inputs["audio"].shape == (1, 20.384 * RATE)


@pytest.mark.parametrize(("language", "code"), [("German", "de"), ("zh-Hant-TW", "zh"), ("auto", None), ("", None)])
async def test_a_language_may_be_a_code_a_tag_or_a_name(
    gateway: Gateway, whisper: FakeWhisper, language: str, code: str | None
) -> None:
    await post(gateway, language=language)
    assert whisper.calls[0].parameters.get("language") == code


async def test_a_long_recording_is_transcribed_in_windows_with_its_first_language(
    gateway: Gateway, whisper: FakeWhisper
) -> None:
    async with asyncio.TaskGroup() as group, whisper.holding(2):
        answer = group.create_task(post(gateway, file=("long.flac", LONG)))
        await whisper.arrived[5].wait()
        # The second is still open: those after it wait, and no fifth is sent.
        assert set(whisper.calls) == {0, 1, 2, 3, 4, 5}
    assert answer.result().json()["text"] == " ".join(f"part {n}" for n in range(7))
    assert whisper.most_at_once <= 4
    assert [whisper.calls[n].parameters.get("language") for n in range(7)] == [None, *["de"] * 6]
    assert [whisper.calls[n].parameters["priority"] for n in range(7)] == [1, *[2] * 6]
    assert [whisper.calls[n].parameters.get("background") for n in range(7)] == [None, *[True] * 6]
    assert not any("clip" in whisper.calls[n].parameters for n in range(7))


async def test_a_recording_of_one_window_is_a_clip(gateway: Gateway, whisper: FakeWhisper) -> None:
    await post(gateway, file=FILE)
    assert whisper.calls[0].parameters["clip"] is True


async def test_the_language_ignores_windows_without_words(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script |= {part: Transcript("nn", 0.3, ()) for part in range(1, 7)}
    whisper.script[0] = Transcript("de", 0.4, (segment(" part 0"),))
    answer = await post(gateway, file=("long.flac", LONG), response_format="verbose_json")
    assert answer.json()["language"] == "german"
    whisper.script[0] = Transcript("nn", 0.3, ())
    assert (await post(gateway, response_format="verbose_json")).json()["language"] == "unknown"


async def test_silence_is_not_sent_to_the_model(gateway: Gateway, whisper: FakeWhisper) -> None:
    silence = encoded(np.zeros(40 * RATE, np.float32), "flac", "flac")
    answer = (await post(gateway, file=("silence.flac", silence), response_format="verbose_json")).json()
    assert (answer["text"], answer["segments"], answer["language"], answer["duration"]) == ("", [], "unknown", 40.0)
    assert (await post(gateway, file=("silence.flac", silence), response_format="vtt")).text == "WEBVTT\n\n"
    assert whisper.calls == {}


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_translation_is_into_english(gateway: Gateway, whisper: FakeWhisper) -> None:
    answer = await gateway.openai.audio.translations.create(
        model="whisper-1", file=FILE, response_format="verbose_json", prompt="Ort", temperature=0.5
    )
    assert (answer.text, answer.language, answer.duration) == ("part 0", "english", 26.0)
    assert answer.to_dict()["task"] == "translate"
    assert whisper.calls[0].parameters["task"] == "translate"
    assert whisper.calls[0].parameters["prompt"] == "Ort"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_disconnects_cancels_every_window(
    gateway: Gateway, whisper: FakeWhisper, stream: bool
) -> None:
    async with whisper.holding(1, 2, 3, 4):
        request = asyncio.create_task(
            gateway.openai.audio.transcriptions.create(model="whisper-1", file=("long.flac", LONG), stream=stream)
        )
        async with asyncio.timeout(300):
            await whisper.arrived[4].wait()
            if stream:
                answer = await request
                assert isinstance(answer, openai.AsyncStream)
                await answer.close()
            request.cancel()
            for part in (1, 2, 3, 4):
                await whisper.calls[part].cancelled.wait()
    assert 5 not in whisper.calls


async def test_a_window_that_fails_cancels_the_others(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.failures[3] = Status(grpc.StatusCode.INTERNAL, "secret")
    async with asyncio.timeout(300), whisper.holding(1, 2, 3, 4):
        request = asyncio.create_task(post(gateway, file=("long.flac", LONG)))
        await whisper.arrived[4].wait()
        whisper.gates[3].set()
        response = await request
        for part in (1, 2, 4):
            await whisper.calls[part].cancelled.wait()
    assert response.status_code == 500
    assert "secret" not in response.text


async def test_a_request_past_its_deadline_is_a_504(
    serve: Serve, whisper: FakeWhisper, expire: Callable[[], None]
) -> None:
    async with serve(request_timeout=FAR) as gateway, whisper.holding(0), asyncio.timeout(300):
        request = asyncio.create_task(post(gateway))
        await whisper.arrived[0].wait()
        expire()
        response = await request
        await whisper.calls[0].cancelled.wait()
    assert response.status_code == 504
    assert error_of(response)["code"] == "timeout"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language": "klingon"}, "language"),
        ({"temperature": "1.5"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"response_format": "docx"}, "response_format"),
        ({"stream": "perhaps"}, "stream"),
        ({"stream": "true", "response_format": "srt"}, "stream"),
        ({"timestamp_granularities[]": ["word"]}, "timestamp_granularities[]"),
        ({"timestamp_granularities[]": ["letter"]}, "timestamp_granularities[]"),
        ({"model": ""}, "model"),
    ],
)
async def test_a_wrong_field_is_named(
    gateway: Gateway, whisper: FakeWhisper, fields: dict[str, Any], param: str
) -> None:
    response = await post(gateway, **fields)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"].startswith(param)
    assert whisper.calls == {}


async def test_the_error_for_an_unknown_format_lists_the_known_ones(gateway: Gateway) -> None:
    response = await post(gateway, response_format="docx")
    for known in ("json", "text", "srt", "verbose_json", "vtt", "diarized_json"):
        assert f"'{known}'" in error_of(response)["message"]


async def test_a_recording_is_a_404_where_no_transcription_model_is_served(
    gateway: Gateway, triton: FakeTriton
) -> None:
    del triton.handlers["whisper-base"]
    await gateway.follow(triton)
    response = await post(gateway)
    assert response.status_code == 404
    error = error_of(response)
    assert (error["code"], error["message"]) == ("model_not_found", "no transcription model is served here")


async def test_a_recording_is_a_503_while_its_model_is_loading(gateway: Gateway, triton: FakeTriton) -> None:
    triton.states["whisper-base"] = "loading"
    await gateway.follow(triton)
    response = await post(gateway)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert error_of(response)["message"] == "model 'whisper-base' is loading; try again"


async def test_a_recording_is_a_503_without_the_detectors_weights(serve: Serve, tmp_path: Path) -> None:
    async with serve(detectors=SpeechDetectors(tmp_path)) as gateway:
        response = await post(gateway)
    assert response.status_code == 503
    assert "is missing; fetch it with: scripts/fetch_models silero-vad" in error_of(response)["message"]


async def test_an_unknown_model_is_not_found(gateway: Gateway) -> None:
    response = await post(gateway, model="kokoro-82m")
    assert response.status_code == 404
    assert error_of(response)["param"] == "model"
    assert "whisper-base" in error_of(response)["message"]


@pytest.mark.parametrize(
    "files",
    [{}, {"file": (None, "words")}, {"file": ("empty.wav", b"")}, {"file": ("noise.mp3", b"\xff\xfb\x90" * 9)}],
    ids=["missing", "no file", "empty", "no audio"],
)
async def test_an_unusable_file_is_rejected(gateway: Gateway, files: dict[str, Any]) -> None:
    response = await gateway.http.post(URL, data={"model": "whisper-1"}, files={"x": (None, "y"), **files})
    assert response.status_code == 400
    error = error_of(response)
    assert error["param"] == "file"
    assert "class" not in error["message"]


async def test_audio_over_the_limit_is_too_large(serve: Serve, whisper: FakeWhisper) -> None:
    async with serve(max_audio_seconds=25) as gateway:
        response = await post(gateway)
    assert response.status_code == 413
    assert error_of(response)["param"] == "file"
    assert whisper.calls == {}


async def test_an_upload_over_the_limit_is_too_large(serve: Serve) -> None:
    async with serve(max_upload_bytes=1000) as gateway:
        response = await post(gateway, file=("big.wav", bytes(5000)))
    assert response.status_code == 413
    error_of(response)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 400),
        ("audio/wav", 415),
        ("application/x-www-form-urlencoded", 400),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=abc", 400),
    ],
)
async def test_a_body_that_is_no_form_is_rejected(gateway: Gateway, content_type: str, status: int) -> None:
    response = await gateway.http.post(URL, content=b'{"model": "whisper-1"}', headers={"content-type": content_type})
    assert response.status_code == status
    error_of(response)


async def test_fields_without_effect_are_named(gateway: Gateway) -> None:
    own = {"language": "en", "stream": "false", "chunking_strategy[type]": "server_vad", "languages[]": "", "user": ""}
    assert "x-tritone-ignored" not in (await post(gateway, **own)).headers
    unknown = {
        "vad_filter": "1",
        "top_p": "0.5",
        "max_completion_tokens": "9",
        "languge": "de",
        "timestamp_granularities": "segment",
    }
    unknown |= {"chunking_strategy[type]": "server_vad", "chunking_strategy[treshold]": "1", "keywords[a]": "x"}
    transcribed = await post(gateway, **unknown)
    assert set(transcribed.headers["x-tritone-ignored"].split(", ")) == unknown.keys() - {"chunking_strategy[type]"}
    sent = {"language": "de", "include[]": "logprobs", "chunking_strategy[type]": "auto", "mine\r\nx-evil: 1": "1"}
    translated = await post(gateway, "/v1/audio/translations", **sent)
    ignored = {"include[]", "chunking_strategy[type]", "mine%250D%250Ax-evil%3A%201"}
    assert set(translated.headers["x-tritone-ignored"].split(", ")) == ignored


async def test_many_and_long_names_make_a_short_header(gateway: Gateway) -> None:
    response = await post(gateway, **{f"{n}é" + "ü" * 1000: "1" for n in range(100)})
    assert response.status_code == 200
    assert len(response.headers["x-tritone-ignored"]) < 4000


async def test_the_end_of_a_long_prompt_is_kept(gateway: Gateway, whisper: FakeWhisper) -> None:
    await post(gateway, prompt="x" * 100_000 + "end")
    assert whisper.calls[0].parameters["prompt"] == "x" * 4093 + "end"


async def test_the_text_of_windows_is_joined_without_extra_space(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script[0] = Transcript("zh", 0.9, (segment("你好。 "), segment("")))
    whisper.script[1] = Transcript("zh", 0.9, (segment("再见。"),))
    recording = encoded(parts(2), "flac", "flac")
    assert (await post(gateway, file=("zh.flac", recording))).json()["text"] == "你好。再见。"


async def test_the_log_has_the_seconds_of_audio(gateway: Gateway, request_lines: Any) -> None:
    await post(gateway)
    (line,) = request_lines()
    assert (line["model"], line["audio_seconds"]) == ("whisper-base", 26.0)


@pytest.mark.parametrize("response_format", ["verbose_json", "diarized_json"])
async def test_a_format_that_may_be_long_is_written_in_a_thread(
    response_format: ResponseFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    write = getattr(responses, response_format)

    def noted(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread())
        return write(*arguments, **options)

    monkeypatch.setattr(responses, response_format, noted)
    result = TranscriptionResult("transcribe", [], 1.0)
    response = await responses.whole_response(result, response_format, {}, granularities=["segment"])
    assert b'"duration":1.0' in response.body
    assert threads
    assert threading.main_thread() not in threads
