"""`POST /v1/audio/speech`, mostly through OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import httpx
import numpy as np
import openai
import pytest

from gateway.openai.speech.serving import SUMMARY_HEADERS
from tests.fake_triton import Call, FakeTriton, Status, Tensors
from tests.unit.gateway.conftest import FAR, FakeSpeech, Gateway, Serve, leaving, tone
from tests.unit.gateway.sound import decode
from tritone.errors import InvalidInput, Overloaded

SPEECH = "/v1/audio/speech"
HELLO: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "Hello there."}


async def error_of(gateway: Gateway, **fields: Any) -> tuple[int, dict[str, Any]]:
    answer = await gateway.http.post(SPEECH, json={**HELLO, **fields})
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
async def test_a_file_of_every_format_holds_the_whole_speech(
    gateway: Gateway, kokoro: FakeSpeech, response_format: Any
) -> None:
    answer = await gateway.openai.audio.speech.create(**HELLO, response_format=response_format)
    samples, rate = decode(answer.content, response_format)
    expected = sum(map(len, kokoro.chunks)) / kokoro.rate
    assert len(samples) / rate == pytest.approx(expected, abs=0.1)
    assert answer.response.headers["content-type"].startswith("audio/")
    assert answer.response.headers["x-tritone-model"] == "kokoro-82m"


async def test_the_default_format_is_mp3_and_a_setting(gateway: Gateway, serve: Serve) -> None:
    assert (await gateway.http.post(SPEECH, json=HELLO)).headers["content-type"] == "audio/mpeg"
    async with serve(default_response_format="flac") as other:
        assert (await other.http.post(SPEECH, json=HELLO)).headers["content-type"] == "audio/flac"


async def test_pcm_is_24_khz_at_any_rate_of_the_model(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.rate, kokoro.chunks = 48_000, [tone(0.5, 48_000), tone(0.5, 48_000)]
    answer = await gateway.openai.audio.speech.create(**HELLO, response_format="pcm")
    assert len(answer.content) / 2 == pytest.approx(24_000, abs=50)


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_the_first_bytes_are_sent_before_the_second_chunk_is_made(
    gateway: Gateway, kokoro: FakeSpeech, response_format: str, stream_format: str
) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    first.set()
    kokoro.gates = [first, second]
    body = {**HELLO, "response_format": response_format, "stream_format": stream_format}
    async with asyncio.timeout(300), gateway.http.stream("POST", SPEECH, json=body) as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces)
        second.set()
        assert b"".join([piece async for piece in pieces])


async def test_sse_events_carry_the_file_and_end_with_the_usage(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.finish_reason = "length"
    body = {**HELLO, "response_format": "pcm", "stream_format": "sse"}
    events = [event async for event in await sse(gateway, body)]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * 2
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert audio == np.concatenate(kokoro.chunks).tobytes()
    assert events[-1] == {
        "type": "speech.audio.done",
        "usage": {
            "input_tokens": 7,
            "input_token_details": {"text_tokens": 7, "audio_tokens": 0},
            "output_tokens": 30,
            "output_token_details": {"text_tokens": 0, "audio_tokens": 30},
            "total_tokens": 37,
        },
        "finish_reason": "length",
    }


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac"])
async def test_the_first_bytes_do_not_wait_until_a_long_first_piece_is_encoded(
    gateway: Gateway, kokoro: FakeSpeech, response_format: Any
) -> None:
    kokoro.chunks = [tone(3.0)]
    body = {**HELLO, "response_format": response_format, "stream_format": "sse"}
    pieces = [base64.b64decode(event["audio"]) async for event in await sse(gateway, body) if "audio" in event]
    first, whole = pieces[0], b"".join(pieces)
    seconds = [len(samples) / rate for samples, rate in (decode(file, response_format) for file in (first, whole))]
    assert 0 < seconds[0] < 0.5
    assert seconds[1] == pytest.approx(3.0, abs=0.1)


async def sse(gateway: Gateway, body: dict[str, Any]) -> openai.AsyncStream[Any]:
    """Read events with OpenAI's own client."""
    stream: openai.AsyncStream[Any] = await gateway.openai.post(
        "/audio/speech", body=body, cast_to=object, stream=True, stream_cls=openai.AsyncStream[Any]
    )
    return stream


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
async def test_a_whole_response_has_a_summary_in_its_headers(
    gateway: Gateway, kokoro: FakeSpeech, response_format: Any
) -> None:
    kokoro.finish_reason = "length"
    answer = await gateway.openai.audio.speech.with_raw_response.create(
        **HELLO, response_format=response_format, speed=2.0, extra_body={"stream": False}
    )
    content = answer.parse().content
    samples, rate = decode(content, response_format)
    summary = {name: answer.headers[name] for name in SUMMARY_HEADERS}
    assert summary == {
        "x-finish-reason": "length",
        "x-audio-duration": "1.200",
        "x-engine-time": "0.250",
        "x-prompt-tokens": "7",
        "x-completion-tokens": "30",
    }
    assert len(samples) / rate == pytest.approx(1.2, abs=0.1)
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["x-tritone-model"] == "kokoro-82m"
    assert "x-tritone-ignored" not in answer.headers


@pytest.mark.parametrize("stream", [True, None])
async def test_a_streamed_response_has_no_summary_headers(gateway: Gateway, stream: bool | None) -> None:
    answer = await gateway.http.post(SPEECH, json={**HELLO, "stream": stream})
    assert answer.headers["transfer-encoding"] == "chunked"
    assert not SUMMARY_HEADERS.keys() & answer.headers.keys()


async def test_a_late_failure_of_a_whole_response_has_a_status(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.failure = Overloaded("lost")
    assert (await error_of(gateway, stream=False))[0] == 503


async def test_a_whole_response_counts_as_in_flight_until_its_client_has_read_it(
    serve: Serve, kokoro: FakeSpeech
) -> None:
    kokoro.chunks = [tone(60)] * 6  # 17 MB, more than sockets hold
    body = {**HELLO, "response_format": "wav", "stream": False}
    async with serve(max_requests=1) as gateway:
        async with gateway.http.stream("POST", SPEECH, json=body) as unread:
            assert unread.headers["x-finish-reason"] == "stop"
            assert (await gateway.http.post(SPEECH, json=HELLO)).status_code == 429
            assert len(await unread.aread()) == int(unread.headers["content-length"])
        assert (await gateway.http.post(SPEECH, json={**HELLO, "input": ""})).status_code == 400


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("alloy", "af_kore"),
        ("AF_Heart", "af_heart"),
        ({"id": "bf_emma"}, "bf_emma"),
        (None, None),
        ("Coral", "af_bella"),
    ],
)
async def test_a_voice_is_the_models_own_or_the_one_for_openais_name(
    gateway: Gateway, triton: FakeTriton, name: Any, sent: str | None
) -> None:
    answer = await gateway.http.post(SPEECH, json={**HELLO, "voice": name})
    assert answer.status_code == 200
    assert triton.calls[-1].parameters.get("voice") == sent


@pytest.mark.parametrize(
    ("mix", "sent"),
    [
        ("af_bella+bf_emma", "af_bella(0.500000)+bf_emma(0.500000)"),
        ("AF_Bella(2)+af_heart(1)", "af_bella(0.666667)+af_heart(0.333333)"),
        ({"id": "coral + bf_emma(3)"}, "af_bella(0.250000)+bf_emma(0.750000)"),
        ("af_bella(2)", "af_bella"),
    ],
)
async def test_a_mix_of_voices_is_sent_with_the_models_own_names(
    gateway: Gateway, triton: FakeTriton, mix: Any, sent: str
) -> None:
    answer = await gateway.http.post(SPEECH, json={**HELLO, "voice": mix})
    assert answer.status_code == 200
    assert triton.calls[-1].parameters["voice"] == sent


@pytest.mark.parametrize(
    ("mix", "problem"),
    [("af_bella+bogus", "no voice 'bogus'"), ("af_bella(x)+af_heart", "name(weight)"), ("af_bella+", "is not a name")],
)
async def test_the_error_for_a_wrong_mix_names_the_part(gateway: Gateway, mix: str, problem: str) -> None:
    status, error = await error_of(gateway, voice=mix)
    assert (status, error["param"]) == (400, "voice")
    assert problem in error["message"]


async def test_the_error_for_an_unknown_voice_lists_the_known_ones(gateway: Gateway) -> None:
    status, error = await error_of(gateway, voice="bogus")
    assert (status, error["param"], error["type"]) == (400, "voice", "invalid_request_error")
    assert all(name in error["message"] for name in ("bogus", "af_heart", "bf_emma", "alloy"))


@pytest.mark.parametrize("name", ["kokoro-82m", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"])
async def test_a_model_has_its_id_and_its_aliases(gateway: Gateway, name: str) -> None:
    answer = await gateway.http.post(SPEECH, json={**HELLO, "model": name})
    assert answer.headers["x-tritone-model"] == "kokoro-82m"


@pytest.mark.parametrize("name", ["qwen3-tts-0.6b", "whisper-1"])
async def test_an_unknown_speech_model_is_a_404_that_lists_the_known_ones(gateway: Gateway, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await gateway.openai.audio.speech.create(**{**HELLO, "model": name})
    assert caught.value.code == "model_not_found"
    assert "kokoro-82m" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": 5}, "input"),
        ({"input": "x" * 100_001}, "input"),
        ({"model": ""}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"voice": 3}, "voice"),
        ({"voice": {"name": "x"}}, "voice"),
        ({"response_format": "midi"}, "response_format"),
        ({"sample_rate": 23_999}, "sample_rate"),
        ({"sample_rate": 44_100, "response_format": "opus"}, "sample_rate"),
        ({"speed": 0.2}, "speed"),
        ({"speed": 4.1}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"stream_format": "rtp"}, "stream_format"),
        ({"stream_format": "sse", "stream": False}, "stream"),
        ({"instructions": "x" * 4097}, "instructions"),
    ],
)
async def test_a_bad_field_is_a_400_that_names_it(gateway: Gateway, fields: dict[str, Any], param: str) -> None:
    status, error = await error_of(gateway, **fields)
    assert (status, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert error["message"].startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b'{"input":"a","speed":NaN}', None),
        (b'{"input":"a","speed":1e999}', "speed"),
        (b'{"input":"\\ud800"}', None),
        (b'{"input":"a","x\\udc00":1}', None),
        (b'{"input":"a","seed":1' + b"0" * 5000 + b"}", None),
        (b'{"input":' * 5000, None),
        (b"[" * 100_000, None),
        (b"\xff\xfe", None),
        (b'{"input":"a",}', None),
        (b"null", None),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_json_that_cannot_be_sent_on_is_a_400(gateway: Gateway, raw: bytes, param: str | None) -> None:
    answer = await gateway.http.post(SPEECH, content=raw, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert error["message"].startswith(param or "body: ")


NULLS = ("model", "voice", "speed", "stream_format", "stream", "response_format", "instructions", "seed", "user")


@pytest.mark.parametrize("blank", [None, "", " "])
async def test_null_and_blank_fields_count_as_absent(gateway: Gateway, triton: FakeTriton, blank: str | None) -> None:
    names = [name for name in NULLS if blank is None or name != "model"]
    answer = await gateway.http.post(SPEECH, json={**HELLO, **dict.fromkeys(names, blank)})
    assert (answer.status_code, answer.headers["x-tritone-model"]) == (200, "kokoro-82m")
    assert "x-tritone-ignored" not in answer.headers
    assert triton.calls[-1].parameters == {}


async def test_speech_without_a_model_comes_from_the_first(gateway: Gateway) -> None:
    answer = await gateway.http.post(SPEECH, json={"input": "Hello."})
    assert answer.headers["x-tritone-model"] == "kokoro-82m"


@pytest.mark.parametrize("blank", [None, "", " "])
async def test_a_blank_text_is_named(gateway: Gateway, blank: str | None) -> None:
    status, error = await error_of(gateway, input=blank)
    assert (status, error["param"]) == (400, "input")


@pytest.mark.parametrize("blank", ["", " "])
async def test_a_blank_model_is_named(gateway: Gateway, blank: str) -> None:
    status, error = await error_of(gateway, model=blank)
    assert (status, error["param"]) == (400, "model")


async def test_pcm_has_its_rate_in_a_header(gateway: Gateway) -> None:
    answer = await gateway.openai.audio.speech.with_raw_response.create(**HELLO, response_format="pcm")
    assert answer.headers["x-sample-rate"] == "24000"


async def test_fields_without_effect_are_named_in_a_header(gateway: Gateway) -> None:
    extra = {"instruct": "whisper", "strem": True, "Ärger\r\nx-evil: 1": 1, "stream": True}
    answer = await gateway.http.post(SPEECH, json={**HELLO, **extra})
    assert answer.headers["x-tritone-ignored"] == "instruct, strem, %C3%84rger%0D%0Ax-evil%3A%201"
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize(("speed", "sent"), [(1.5, 1.5), (0.25, 0.5), (4.0, 2.0)])
async def test_the_gateway_covers_a_speed_beyond_the_models_range(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech, speed: float, sent: float
) -> None:
    answer = await gateway.openai.audio.speech.create(**HELLO, response_format="pcm", speed=speed)
    assert triton.calls[-1].parameters["speed"] == sent
    expected = sum(map(len, kokoro.chunks))
    assert len(answer.content) / 2 == pytest.approx(expected * sent / speed, abs=2)


async def test_the_model_gets_the_text_unchanged_with_the_requests_id(gateway: Gateway, triton: FakeTriton) -> None:
    text = "  Grüße, 世界!\n"
    body = {**HELLO, "input": text, "language": "de"}
    await gateway.http.post(SPEECH, json=body, headers={"x-request-id": "me-1"})
    call = triton.calls[-1]
    assert call.inputs["text"].tolist() == [text.encode()]
    assert call.parameters["language"] == "de"
    assert call.request_id == "me-1"


async def test_an_input_that_the_model_rejects_is_a_400_with_openais_field_name(
    gateway: Gateway, kokoro: FakeSpeech
) -> None:
    kokoro.chunks, kokoro.failure = [], InvalidInput("text", "no speakable characters")
    with pytest.raises(openai.BadRequestError) as caught:
        await gateway.openai.audio.speech.create(**HELLO)
    assert caught.value.param == "input"
    assert "input: no speakable characters" in caught.value.message


@pytest.mark.parametrize(("hint", "retry_after"), [(None, "1"), (17, "17")])
async def test_a_model_at_capacity_is_a_503_with_retry_after(
    gateway: Gateway, kokoro: FakeSpeech, hint: int | None, retry_after: str
) -> None:
    kokoro.chunks, kokoro.failure = [], Overloaded("no slot", hint)
    answer = await gateway.http.post(SPEECH, json=HELLO)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, retry_after)
    assert answer.json()["error"]["type"] == "server_error"


async def test_a_request_before_any_server_was_reached_is_a_503_with_retry_after(serve: Serve) -> None:
    async with serve(triton_grpc_url="127.0.0.1:1") as gateway:
        answer = await gateway.http.post(SPEECH, json=HELLO)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["message"] == "no Triton server was reached yet; try again"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("loading", "model 'kokoro-82m' is loading; try again"),
        ("unloaded", "model 'kokoro-82m' is not loaded at present; try again"),
        ("failed", "model 'kokoro-82m' could not be loaded; the server's log says why"),
    ],
)
async def test_a_chosen_model_that_is_not_ready_is_a_503_that_names_it(
    gateway: Gateway, triton: FakeTriton, state: Any, message: str
) -> None:
    triton.states["kokoro-82m"] = state
    await gateway.follow(triton)
    status, error = await error_of(gateway)
    assert (status, error["code"], error["message"]) == (503, "unavailable", message)
    assert triton.calls == []


async def test_a_model_before_its_first_load_is_a_503(gateway: Gateway, triton: FakeTriton) -> None:
    triton.states["kokoro-82m"], triton.overrides["kokoro-82m"] = "loading", {"description": None}
    await gateway.follow(triton)
    status, error = await error_of(gateway)
    assert (status, error["message"]) == (503, "model 'kokoro-82m' is loading; try again")


async def test_a_text_is_a_404_where_no_speech_model_is_served(gateway: Gateway, triton: FakeTriton) -> None:
    del triton.handlers["kokoro-82m"]
    await gateway.follow(triton)
    status, error = await error_of(gateway)
    assert (status, error["code"], error["message"]) == (404, "model_not_found", "no speech model is served here")


async def test_the_error_of_a_failing_model_has_no_details(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.chunks, kokoro.failure = [], Status(grpc.StatusCode.INTERNAL, "secret path /weights/x")
    status, error = await error_of(gateway)
    assert (status, error["code"]) == (500, "internal_error")
    assert "secret" not in error["message"]


@pytest.mark.parametrize("fields", [{}, {"stream_format": "sse"}, {"stream": False}])
async def test_a_first_audio_timeout_is_a_504_and_stops_the_model(
    serve: Serve, triton: FakeTriton, kokoro: FakeSpeech, expire: Callable[[], None], fields: dict[str, Any]
) -> None:
    kokoro.gates = [asyncio.Event()]
    async with serve(first_audio_timeout=FAR) as gateway:
        answer = asyncio.create_task(error_of(gateway, **fields))
        await asyncio.wait_for(kokoro.called.wait(), 300)
        expire()
        status, error = await answer
    assert (status, error["code"]) == (504, "timeout")
    await asyncio.wait_for(triton.calls[-1].cancelled.wait(), 300)


async def test_a_failure_in_mid_stream_cuts_the_connection(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.failure = Overloaded("lost")
    async with gateway.http.stream("POST", SPEECH, json=HELLO) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Overloaded("lost"), "at capacity"),
        (Status(grpc.StatusCode.INTERNAL, "secret path"), "the server failed on this request"),
    ],
)
async def test_a_failure_in_mid_stream_is_the_last_event(
    gateway: Gateway, kokoro: FakeSpeech, failure: Exception, message: str
) -> None:
    kokoro.failure = failure
    events = await sse(gateway, {**HELLO, "stream_format": "sse"})
    assert (await anext(events))["type"] == "speech.audio.delta"
    with pytest.raises(openai.APIError, match=message):
        [event async for event in events]


async def test_a_fault_of_the_gateway_in_mid_stream_is_the_last_event(gateway: Gateway, triton: FakeTriton) -> None:
    async def broken(call: Call) -> AsyncIterator[Tensors]:
        speech = FakeSpeech()(call)
        yield await anext(speech)
        yield {"sample_rate": np.array([24_000], np.int32)}

    triton.handlers["kokoro-82m"] = broken
    events = await sse(gateway, {**HELLO, "stream_format": "sse", "response_format": "pcm"})
    with pytest.raises(openai.APIError, match="the server failed on this request"):
        [event async for event in events]


async def test_a_deadline_in_mid_stream_is_the_last_event_and_stops_the_model(
    serve: Serve, triton: FakeTriton, kokoro: FakeSpeech, expire: Callable[[], None]
) -> None:
    first = asyncio.Event()
    first.set()
    kokoro.gates = [first, asyncio.Event()]
    async with serve(request_timeout=FAR) as gateway:
        events = await sse(gateway, {**HELLO, "stream_format": "sse", "response_format": "pcm"})
        assert (await anext(events))["type"] == "speech.audio.delta"
        expire()
        with pytest.raises(openai.APIError, match="the request took longer") as caught:
            [event async for event in events]
        assert caught.value.code == "timeout"
    await asyncio.wait_for(triton.calls[-1].cancelled.wait(), 300)


async def test_a_deadline_in_mid_stream_cuts_a_file(
    serve: Serve, triton: FakeTriton, kokoro: FakeSpeech, expire: Callable[[], None]
) -> None:
    first = asyncio.Event()
    first.set()
    kokoro.gates = [first, asyncio.Event()]
    body = {**HELLO, "response_format": "pcm"}
    async with serve(request_timeout=FAR) as gateway, gateway.http.stream("POST", SPEECH, json=body) as answer:
        pieces = answer.aiter_bytes()
        await anext(pieces)
        expire()
        with pytest.raises(httpx.RemoteProtocolError):
            [piece async for piece in pieces]
    await asyncio.wait_for(triton.calls[-1].cancelled.wait(), 300)


async def test_a_failure_before_the_first_event_has_a_status(gateway: Gateway, kokoro: FakeSpeech) -> None:
    kokoro.chunks, kokoro.failure = [], Overloaded("no slot")
    assert (await error_of(gateway, stream_format="sse"))[0] == 503


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_a_client_that_disconnects_in_mid_stream_stops_the_model(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech, stream_format: str
) -> None:
    first = asyncio.Event()
    first.set()
    kokoro.gates = [first, asyncio.Event()]
    async with gateway.http.stream("POST", SPEECH, json={**HELLO, "stream_format": stream_format}) as answer:
        pieces = answer.aiter_bytes()  # kept: its end would close the connection
        await anext(pieces)
    await asyncio.wait_for(triton.calls[-1].cancelled.wait(), 300)


async def test_a_client_that_disconnects_before_the_first_audio_stops_the_model(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    kokoro.gates = [asyncio.Event()]
    async with leaving(gateway.http.post(SPEECH, json=HELLO)):
        await asyncio.wait_for(kokoro.called.wait(), 300)
    await asyncio.wait_for(triton.calls[-1].cancelled.wait(), 300)


async def test_an_error_of_the_sdk_has_the_whole_envelope(gateway: Gateway) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await gateway.openai.audio.speech.create(**{**HELLO, "input": ""})
    assert caught.value.request_id
    assert json.loads(caught.value.response.content).keys() == {"error"}
    assert isinstance(caught.value.body, dict)
    assert caught.value.body.keys() == {"message", "type", "param", "code"}


async def test_a_long_text_is_spoken_sentence_by_sentence_as_one_file(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech
) -> None:
    sentences = [f"This is sentence number {number} of a text that no model takes at once." for number in range(70)]
    text = " ".join(sentences)
    assert len(text) > 4096
    answer = await gateway.http.post(SPEECH, json={**HELLO, "input": text, "response_format": "wav", "stream": False})
    assert answer.status_code == 200, answer.text
    spoken = [call.inputs["text"].item().decode() for call in triton.calls]
    assert " ".join(spoken) == text
    samples, rate = decode(answer.content, "wav")
    assert len(samples) / rate == pytest.approx(len(spoken) * sum(map(len, kokoro.chunks)) / kokoro.rate)
    assert answer.headers["x-prompt-tokens"] == str(7 * len(spoken))
    assert answer.headers["x-finish-reason"] == "stop"


@pytest.mark.parametrize("fields", [{}, {"stream": False}, {"input": "One. " * 1000}])
async def test_speech_has_the_sample_rate_that_was_asked_for(
    gateway: Gateway, kokoro: FakeSpeech, fields: dict[str, Any]
) -> None:
    body = {**HELLO, "response_format": "wav", "sample_rate": 8000, **fields}
    samples, rate = decode((await gateway.http.post(SPEECH, json=body)).content, "wav")
    assert rate == 8000
    assert len(samples) % 8 == 0
    pcm = await gateway.http.post(SPEECH, json={**body, "response_format": "pcm"})
    assert pcm.headers["x-sample-rate"] == "8000"
    assert len(pcm.content) / 2 == pytest.approx(len(samples), abs=10)
