"""`/v1/audio/transcriptions` and `/v1/audio/translations`, as the official client and plain HTTP see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import numpy as np
import openai
import pytest

from tests.fake_triton import Status
from tests.unit.gateway.conftest import FAR, Gateway, Serve
from tests.unit.gateway.recordings import RATE, encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment
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
    heard = await gateway.openai.audio.transcriptions.create(model="whisper-1", file=FILE)
    assert heard.text == "part 0"
    assert heard.usage is not None
    assert heard.usage.to_dict() == {"type": "duration", "seconds": 26}


async def test_verbose_json_has_segments_with_every_field(gateway: Gateway) -> None:
    heard = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=("long.flac", LONG), response_format="verbose_json"
    )
    assert (heard.language, heard.duration, heard.words) == ("german", 182.0, None)
    assert heard.to_dict()["task"] == "transcribe"
    assert heard.text == " ".join(f"part {n}" for n in range(7))
    assert heard.usage is not None
    assert heard.usage.seconds == 182
    assert heard.segments is not None
    assert [s.id for s in heard.segments] == list(range(7))
    third = heard.segments[2]
    # The third tone starts at 52 s, and its window 0.4 s before.
    assert third.start == pytest.approx(52.1, abs=0.05)
    assert third.end == pytest.approx(53.6, abs=0.05)
    assert third.seek == pytest.approx(5160, abs=5)
    assert third.tokens == [1, 2, 3]
    numbers = (third.temperature, third.avg_logprob, third.compression_ratio, third.no_speech_prob)
    assert numbers == pytest.approx((0.0, -0.25, 1.5, 0.01))


@pytest.mark.parametrize("granularities", [["word"], ["segment"], ["word", "segment"]])
async def test_verbose_json_has_the_granularities_that_were_asked_for(
    gateway: Gateway, whisper: FakeWhisper, granularities: list[Any]
) -> None:
    heard = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE, response_format="verbose_json", timestamp_granularities=granularities
    )
    assert (heard.words is not None) == ("word" in granularities)
    assert (heard.segments is not None) == ("segment" in granularities)
    assert whisper.calls[0].parameters.get("word_timestamps", False) == ("word" in granularities)
    if heard.words:
        assert [word.to_dict() for word in heard.words] == [
            {"word": "part", "start": 0.5, "end": 1.0},
            {"word": "0", "start": 1.5, "end": 2.0},
        ]


async def test_granularities_are_read_without_brackets_too(gateway: Gateway) -> None:
    response = await post(gateway, response_format="verbose_json", timestamp_granularities=["word"])
    assert "words" in response.json()
    assert "segments" not in response.json()


@pytest.mark.parametrize(
    ("response_format", "content_type", "text"),
    [
        ("text", "text/plain; charset=utf-8", "part 0\n"),
        ("srt", "application/x-subrip; charset=utf-8", "1\n00:00:00,500 --> 00:00:02,000\npart 0\n\n"),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\npart 0\n\n"),
    ],
)
async def test_text_formats_come_with_their_types(
    gateway: Gateway, response_format: Any, content_type: str, text: str
) -> None:
    response = await post(gateway, response_format=response_format)
    assert response.headers["content-type"] == content_type
    assert response.text == text
    heard = await gateway.openai.audio.transcriptions.create(
        model="whisper-1", file=FILE, response_format=response_format
    )
    assert heard == text


async def test_events_carry_the_text_as_it_is_heard(gateway: Gateway, whisper: FakeWhisper) -> None:
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


async def test_a_failure_before_the_first_event_has_its_status(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.failures[0] = Status(grpc.StatusCode.UNAVAILABLE, "full")
    with pytest.raises(openai.InternalServerError) as failure:
        await gateway.openai.audio.transcriptions.create(model="whisper-1", file=FILE, stream=True)
    assert failure.value.status_code == 503


async def test_the_model_is_told_what_was_asked(gateway: Gateway, whisper: FakeWhisper) -> None:
    heard = await gateway.openai.audio.transcriptions.with_raw_response.create(
        model="gpt-4o-transcribe", file=FILE, language="pt-BR", prompt="Luís", temperature=0.25
    )
    assert heard.headers["x-tritone-model"] == "whisper-base"
    call = whisper.calls[0]
    assert call.request_id == heard.headers["x-request-id"]
    assert call.parameters == {"language": "pt", "prompt": "Luís", "temperature": 0.25, "priority": 1}
    assert call.inputs["audio"].dtype == np.float32
    assert call.inputs["audio"].shape == (1, 20.384 * RATE)


@pytest.mark.parametrize(("language", "code"), [("German", "de"), ("zh-Hant-TW", "zh"), ("auto", None), ("", None)])
async def test_a_language_may_be_a_code_a_tag_or_a_name(
    gateway: Gateway, whisper: FakeWhisper, language: str, code: str | None
) -> None:
    await post(gateway, language=language)
    assert whisper.calls[0].parameters.get("language") == code


async def test_a_long_recording_is_heard_in_windows_of_its_first_language(
    gateway: Gateway, whisper: FakeWhisper
) -> None:
    async with asyncio.TaskGroup() as group, whisper.holding(2):
        heard = group.create_task(post(gateway, file=("long.flac", LONG)))
        await whisper.arrived[5].wait()
        # The second is still out: those behind it wait for their turn, and no fifth is sent.
        assert set(whisper.calls) == {0, 1, 2, 3, 4, 5}
    assert heard.result().json()["text"] == " ".join(f"part {n}" for n in range(7))
    assert whisper.most_at_once <= 4
    assert [whisper.calls[n].parameters.get("language") for n in range(7)] == [None, *["de"] * 6]
    assert [whisper.calls[n].parameters["priority"] for n in range(7)] == [1, *[2] * 6]
    assert [whisper.calls[n].parameters.get("background") for n in range(7)] == [None, *[True] * 6]


async def test_silence_is_not_sent_to_the_model(gateway: Gateway, whisper: FakeWhisper) -> None:
    silence = encoded(np.zeros(40 * RATE, np.float32), "flac", "flac")
    heard = (await post(gateway, file=("silence.flac", silence), response_format="verbose_json")).json()
    assert (heard["text"], heard["segments"], heard["language"], heard["duration"]) == ("", [], "unknown", 40.0)
    assert (await post(gateway, file=("silence.flac", silence), response_format="vtt")).text == "WEBVTT\n\n"
    assert whisper.calls == {}


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_translation_is_into_english(gateway: Gateway, whisper: FakeWhisper) -> None:
    heard = await gateway.openai.audio.translations.create(
        model="whisper-1", file=FILE, response_format="verbose_json", prompt="Ort", temperature=0.5
    )
    assert (heard.text, heard.language, heard.duration) == ("part 0", "english", 26.0)
    assert heard.to_dict()["task"] == "translate"
    assert whisper.calls[0].parameters["task"] == "translate"
    assert whisper.calls[0].parameters["prompt"] == "Ort"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_cancels_every_window(gateway: Gateway, whisper: FakeWhisper, stream: bool) -> None:
    async with whisper.holding(1, 2, 3, 4):
        asking = asyncio.create_task(
            gateway.openai.audio.transcriptions.create(model="whisper-1", file=("long.flac", LONG), stream=stream)
        )
        async with asyncio.timeout(10):
            await whisper.arrived[4].wait()
            if stream:
                answer = await asking
                await answer.close()
            asking.cancel()
            for part in (1, 2, 3, 4):
                await whisper.calls[part].cancelled.wait()
    assert 5 not in whisper.calls


async def test_a_window_that_fails_cancels_the_others(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.failures[3] = Status(grpc.StatusCode.INTERNAL, "secret")
    async with asyncio.timeout(10), whisper.holding(1, 2, 3, 4):
        asking = asyncio.create_task(post(gateway, file=("long.flac", LONG)))
        await whisper.arrived[4].wait()
        whisper.gates[3].set()
        response = await asking
        for part in (1, 2, 4):
            await whisper.calls[part].cancelled.wait()
    assert response.status_code == 500
    assert "secret" not in response.text


async def test_a_request_that_takes_too_long_is_told_so(
    serve: Serve, whisper: FakeWhisper, expire: Callable[[], None]
) -> None:
    async with serve(request_timeout=FAR) as gateway, whisper.holding(0), asyncio.timeout(20):
        asking = asyncio.create_task(post(gateway))
        await whisper.arrived[0].wait()
        expire()
        response = await asking
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
async def test_a_field_that_is_wrong_is_named(
    gateway: Gateway, whisper: FakeWhisper, fields: dict[str, Any], param: str
) -> None:
    response = await post(gateway, **fields)
    assert response.status_code == 400
    error = error_of(response)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"].startswith(param)
    assert whisper.calls == {}


async def test_an_unknown_format_is_told_what_there_is(gateway: Gateway) -> None:
    response = await post(gateway, response_format="docx")
    for known in ("json", "text", "srt", "verbose_json", "vtt", "diarized_json"):
        assert f"'{known}'" in error_of(response)["message"]


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
async def test_a_file_that_is_none_is_refused(gateway: Gateway, files: dict[str, Any]) -> None:
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
        ("application/json", 415),
        ("audio/wav", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=abc", 400),
    ],
)
async def test_a_body_that_is_no_form_is_refused(gateway: Gateway, content_type: str, status: int) -> None:
    response = await gateway.http.post(URL, content=b'{"model": "whisper-1"}', headers={"content-type": content_type})
    assert response.status_code == status
    error_of(response)


async def test_fields_that_have_no_effect_are_named(gateway: Gateway) -> None:
    plain = await post(gateway, language="en", stream="false", mine="1", **{"timestamp_granularities[]": "segment"})
    assert "x-tritone-ignored" not in plain.headers
    sent = {"language": "de", "stream": "true", "include[]": "logprobs", "chunking_strategy[type]": "auto", "mine": "1"}
    translated = await post(gateway, "/v1/audio/translations", **sent)
    ignored = {"language", "stream", "include[]", "chunking_strategy[type]"}
    assert set(translated.headers["x-tritone-ignored"].split(", ")) == ignored


async def test_a_prompt_of_any_length_is_taken_from_its_end(gateway: Gateway, whisper: FakeWhisper) -> None:
    await post(gateway, prompt="x" * 100_000 + "end")
    assert whisper.calls[0].parameters["prompt"] == "x" * 4093 + "end"


async def test_text_between_windows_reads_as_one(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script[0] = Transcript("zh", 0.9, (segment("你好。 "), segment("")))
    whisper.script[1] = Transcript("zh", 0.9, (segment("再见。"),))
    recording = encoded(parts(2), "flac", "flac")
    assert (await post(gateway, file=("zh.flac", recording))).json()["text"] == "你好。再见。"


async def test_the_log_tells_the_seconds_of_audio(gateway: Gateway, request_lines: Any) -> None:
    await post(gateway)
    (line,) = request_lines()
    assert (line["model"], line["audio_seconds"]) == ("whisper-base", 26.0)
