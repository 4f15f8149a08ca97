"""Spoken answers of `/v1/chat/completions`, by OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.fake_triton import FakeTriton
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.chat.conftest import ANSWER, SPOKEN, VOICE, question, recording, texts_of
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve, leaving
from tests.unit.gateway.sound import decode
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tritone.transcript import Transcript

HELLO: list[Any] = [{"role": "user", "content": "Hello?"}]
WORDS = {"role": "user", "content": "part 3"}
SYSTEM = {"role": "system", "content": "Be brief."}


async def asked(gateway: Gateway, messages: Any = HELLO, **fields: Any) -> Any:
    return await gateway.openai.chat.completions.create(messages=messages, **{**SPOKEN, **fields})


async def test_a_spoken_question_gets_a_spoken_answer(
    gateway: Gateway, triton: FakeTriton, language_model: LanguageModelServer
) -> None:
    language_model.choices = [
        *({"delta": {"content": word}} for word in language_model.words),
        {"delta": {}, "finish_reason": "stop"},
    ]
    completion = await asked(gateway, [SYSTEM, question(3, "Answer this:")], temperature=0.3, user="me")
    (choice,) = completion.choices
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("stop", None, None)
    assert choice.message.audio.transcript == ANSWER
    samples, rate = decode(base64.b64decode(choice.message.audio.data), "wav")
    assert len(samples) / rate == pytest.approx(2 * 1.2, abs=0.01)
    assert choice.message.audio.expires_at > time.time()
    (request,) = language_model.requests
    assert request["messages"] == [SYSTEM, {"role": "user", "content": "Answer this:\npart 3"}]
    assert (request["temperature"], request["user"], request["model"]) == (0.3, "me", "small-model")
    assert not request.keys() & {"modalities", "audio", "max_completion_tokens"}
    assert texts_of(triton) == ["Good morning.", "The train leaves at nine."]
    assert {call.parameters["voice"] for call in triton.calls if "text" in call.inputs} == {"af_kore"}
    usage = completion.usage
    assert (usage.completion_tokens_details.audio_tokens, usage.prompt_tokens_details.audio_tokens) == (60, 50)


async def test_the_response_names_the_speech_model_and_the_fields_without_effect(gateway: Gateway) -> None:
    raw = await gateway.openai.chat.completions.with_raw_response.create(messages=HELLO, **SPOKEN, logprobs=True)
    assert (raw.headers["x-tritone-model"], raw.headers["x-tritone-ignored"]) == ("kokoro-82m", "logprobs")
    assert int(raw.headers["content-length"]) == len(raw.content)


@pytest.mark.parametrize(
    ("audio_format", "stream"),
    [("mp3", False), ("pcm16", False), *((each, True) for each in ("wav", "mp3", "flac", "opus", "aac", "pcm16"))],
)
async def test_the_answer_has_the_format_that_was_asked_for(gateway: Gateway, audio_format: str, stream: bool) -> None:
    audio = {"voice": "alloy", "format": audio_format}
    if stream:
        chunks = [chunk async for chunk in await asked(gateway, audio=audio, stream=True)]
        data = "".join(audio_of(chunk).get("data", "") for chunk in chunks)
    else:
        data = (await asked(gateway, audio=audio)).choices[0].message.audio.data
    samples, rate = decode(base64.b64decode(data, validate=True), audio_format.removesuffix("16"))
    assert len(samples) / rate == pytest.approx(2 * 1.2, abs=0.15)


def audio_of(chunk: Any) -> Any:
    return (chunk.choices[0].delta.to_dict().get("audio") or {}) if chunk.choices else {}


async def test_a_stream_has_the_words_of_a_clause_before_its_audio(gateway: Gateway) -> None:
    audio = {**VOICE, "format": "pcm16"}
    stream = await asked(gateway, audio=audio, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    parts = [audio_of(chunk) for chunk in chunks]
    assert [part["transcript"] for part in parts if "transcript" in part] == [
        "Good morning.",
        " The train leaves at nine.",
    ]
    kinds = [name for part in parts for name in part]
    assert kinds[:3] == ["id", "transcript", "data"]
    assert (kinds.count("id"), kinds[-1]) == (1, "expires_at")
    assert len(b"".join(base64.b64decode(part.get("data", "")) for part in parts)) == round(2 * 2 * 1.2 * 24_000)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-2:] == [None, "stop"]
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens_details.audio_tokens) == ([], 60)


@pytest.mark.parametrize("stream", [False, True])
async def test_usage_adds_the_language_models_tokens_to_those_of_the_audio(
    gateway: Gateway, language_model: LanguageModelServer, stream: bool
) -> None:
    language_model.usage = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 16},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    options = {"stream_options": {"include_usage": True}} if stream else {}
    answer = await asked(gateway, [question(3)], stream=stream, **options)
    usage = [chunk async for chunk in answer][-1].usage if stream else answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (20 + 50, 9 + 60, 139)
    prompt, completion = usage.prompt_tokens_details.to_dict(), usage.completion_tokens_details.to_dict()
    assert prompt == {"text_tokens": 20, "audio_tokens": 50, "cached_tokens": 16}
    assert completion == {"text_tokens": 5, "audio_tokens": 60, "reasoning_tokens": 4}
    assert language_model.requests[0]["stream_options"] == {"include_usage": True}


async def test_a_stream_ends_as_other_clients_expect(gateway: Gateway) -> None:
    body = {**SPOKEN, "messages": HELLO, "stream": True}
    response = await gateway.http.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")


async def test_the_first_audio_is_sent_while_the_language_model_writes(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    language_model.words = ["Good morning. It", " is late."]
    language_model.gate.clear()
    stream = await asked(gateway, stream=True)
    async with asyncio.timeout(300):
        while "data" not in audio_of(await anext(stream)):
            pass
        language_model.gate.set()
        rest = [audio_of(chunk) async for chunk in stream]
    assert "".join(part.get("transcript", "") for part in rest) == " It is late."


async def test_the_helper_of_the_sdk_joins_a_stream(gateway: Gateway) -> None:
    async with gateway.openai.chat.completions.stream(messages=HELLO, **SPOKEN) as stream:
        completion = await stream.get_final_completion()
    audio: Any = completion.choices[0].message.audio
    assert (audio.transcript, completion.choices[0].finish_reason) == (ANSWER, "stop")
    assert len(decode(base64.b64decode(audio.data, validate=True), "wav")[0]) == round(2 * 1.2 * 24_000)
    assert audio.expires_at > time.time()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_earlier_answer_is_named_by_its_id(
    gateway: Gateway, language_model: LanguageModelServer, stream: bool
) -> None:
    if stream:
        chunks = [chunk async for chunk in await asked(gateway, stream=True)]
        id_ = next(part["id"] for part in map(audio_of, chunks) if "id" in part)
    else:
        id_ = (await asked(gateway)).choices[0].message.audio.id
    await asked(gateway, [*HELLO, {"role": "assistant", "audio": {"id": id_}}, *HELLO])
    assert language_model.requests[-1]["messages"][1:] == [*HELLO, {"role": "assistant", "content": ANSWER}, *HELLO]


async def test_an_answer_may_be_sent_back_as_it_came(gateway: Gateway, language_model: LanguageModelServer) -> None:
    message = (await asked(gateway)).choices[0].message.model_dump(exclude_none=True)
    message["audio"]["id"] = "audio_of_another_gateway"
    await asked(gateway, [*HELLO, message, *HELLO])
    assert language_model.requests[-1]["messages"][2] == {"role": "assistant", "content": ANSWER}


async def test_an_unknown_answer_is_an_error_that_names_its_field(gateway: Gateway) -> None:
    with pytest.raises(openai.BadRequestError, match="audio_other") as caught:
        await asked(gateway, [*HELLO, {"role": "assistant", "audio": {"id": "audio_other"}}, *HELLO])
    assert caught.value.param == "messages[1].audio.id"


async def test_the_answers_of_one_key_are_unknown_to_another(
    serve: Serve, triton: FakeTriton, language_model: LanguageModelServer
) -> None:
    async with serve(llm_url=language_model.url, api_keys="sk-one,sk-two") as gateway:
        await gateway.follow(triton)
        one, two = (gateway.openai.with_options(api_key=key) for key in ("sk-one", "sk-two"))
        id_ = (await one.chat.completions.create(messages=HELLO, **SPOKEN)).choices[0].message.audio.id
        again: Any = [*HELLO, {"role": "assistant", "audio": {"id": id_}}, *HELLO]
        await one.chat.completions.create(messages=again, **SPOKEN)
        with pytest.raises(openai.BadRequestError):
            await two.chat.completions.create(messages=again, **SPOKEN)
        with pytest.raises(openai.AuthenticationError):
            await gateway.openai.chat.completions.create(messages=HELLO, **SPOKEN)


async def test_gateways_with_one_database_know_each_others_answers(
    serve: Serve, triton: FakeTriton, language_model: LanguageModelServer, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"llm_url": language_model.url, "jobs": True, "jobs_dir": str(tmp_path)}
    async with serve(**settings) as one, serve(**settings) as two:
        for gateway in (one, two):
            await gateway.follow(triton)
        id_ = (await asked(one)).choices[0].message.audio.id
        await asked(two, [*HELLO, {"role": "assistant", "audio": {"id": id_}}, *HELLO])
    assert language_model.requests[-1]["messages"][2] == {"role": "assistant", "content": ANSWER}


async def test_a_recording_that_is_sent_again_is_not_transcribed_again(
    gateway: Gateway, triton: FakeTriton, language_model: LanguageModelServer
) -> None:
    first = await asked(gateway, [question(3)])
    second = await asked(gateway, [question(3), {"role": "assistant", "content": "Yes."}, question(4)])
    assert len([call for call in triton.calls if "audio" in call.inputs]) == 2
    assert [message["content"] for message in language_model.requests[-1]["messages"][1:]] == [
        "part 3",
        "Yes.",
        "part 4",
    ]
    tokens = [answer.usage.prompt_tokens_details.audio_tokens for answer in (first, second)]
    assert tokens == [50, 100]


async def test_a_recording_may_have_any_container(gateway: Gateway, language_model: LanguageModelServer) -> None:
    audio = {"data": recording(3, "flac", "flac"), "format": "flac"}
    await asked(gateway, [{"role": "user", "content": [{"type": "input_audio", "input_audio": audio}]}])
    assert language_model.requests[0]["messages"][-1] == WORDS


@pytest.mark.parametrize("address", ["data:image/png;base64,AAAA", "https://example.com/cat.png"])
async def test_an_image_beside_a_recording_is_passed_on(
    gateway: Gateway, language_model: LanguageModelServer, address: str
) -> None:
    message = question(3)
    image = {"type": "image_url", "image_url": {"url": address}}
    message["content"].append(image)
    await asked(gateway, [message])
    assert language_model.requests[0]["messages"][-1]["content"] == [{"type": "text", "text": "part 3"}, image]


@pytest.mark.parametrize("stream", [False, True])
async def test_functions_are_called_instead_of_an_answer(
    gateway: Gateway, language_model: LanguageModelServer, stream: bool
) -> None:
    tool = {"type": "function", "function": {"name": "time_of", "parameters": {"type": "object"}}}
    language_model.choices = [
        {"delta": {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "time_of", "arguments": ""}}]}},
        {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"to": "Ulm"}'}}]}},
        {"delta": {}, "finish_reason": "tool_calls"},
    ]
    options: Any = {"tools": [tool], "tool_choice": "required"}
    if stream:
        async with gateway.openai.chat.completions.stream(messages=HELLO, **SPOKEN, **options) as events:
            choice: Any = (await events.get_final_completion()).choices[0]
    else:
        choice = (await asked(gateway, **options)).choices[0]
    assert (choice.finish_reason, choice.message.audio, choice.message.content) == ("tool_calls", None, None)
    (call,) = choice.message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "time_of", '{"to": "Ulm"}')
    assert (language_model.requests[0]["tools"], language_model.requests[0]["tool_choice"]) == ([tool], "required")


async def test_an_answer_with_nothing_to_speak_is_text(gateway: Gateway, language_model: LanguageModelServer) -> None:
    language_model.words = ["\N{WAVING HAND SIGN}"]
    message = (await asked(gateway)).choices[0].message
    assert (message.content, message.audio) == ("\N{WAVING HAND SIGN}", None)


@pytest.mark.parametrize(("reason", "shown"), [("length", "length"), ("content_filter", "content_filter")])
async def test_an_answer_that_ends_early_says_so(
    gateway: Gateway, language_model: LanguageModelServer, reason: str, shown: str
) -> None:
    language_model.choices = [{"delta": {"content": "Good morning."}}, {"delta": {}, "finish_reason": reason}]
    choice = (await asked(gateway)).choices[0]
    assert (choice.finish_reason, choice.message.audio.transcript) == (shown, "Good morning.")


async def test_the_answer_has_at_most_the_tokens_of_both_limits(
    serve: Serve, triton: FakeTriton, language_model: LanguageModelServer
) -> None:
    async with serve(llm_url=language_model.url, llm_max_tokens=100) as gateway:
        await gateway.follow(triton)
        for limit in (7, 1000):
            await asked(gateway, max_completion_tokens=limit)
    assert [request["max_tokens"] for request in language_model.requests] == [7, 100]


async def test_settings_choose_the_models(
    serve: Serve, triton: FakeTriton, language_model: LanguageModelServer
) -> None:
    settings: dict[str, Any] = {"chat_speech_model": "none-1", "chat_transcription_model": "none-2"}
    async with serve(llm_url=language_model.url, **settings) as gateway:
        await gateway.follow(triton)
        with pytest.raises(openai.NotFoundError, match="none-1"):
            await asked(gateway)
        with pytest.raises(openai.NotFoundError, match="none-2"):
            await asked(gateway, [question(3)], audio={**VOICE, "model": "tts-1"})


async def test_a_registered_voice_that_is_unknown_is_told(gateway: Gateway) -> None:
    with pytest.raises(openai.APIStatusError, match="voice_x") as caught:
        await asked(gateway, audio={"voice": {"id": "voice_x"}, "format": "wav"})
    assert caught.value.status_code in (400, 404)


async def test_the_log_has_the_model_and_the_seconds_of_what_is_spoken(
    gateway: Gateway, request_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    await asked(gateway, [question(3)])
    heard: Any = [question(4), question(5)]
    await gateway.openai.chat.completions.with_raw_response.create(model="gpt-audio", messages=heard, stream=True)
    async with asyncio.timeout(300):
        while len(request_lines()) < 2:  # noqa: ASYNC110 - the line is written behind the last event
            await asyncio.sleep(0.01)
    lines = [(line["model"], line["audio_seconds"]) for line in request_lines()]
    assert lines == [("kokoro-82m", 2.4), ("whisper-base", 2.0)]


async def test_silence_is_no_question(gateway: Gateway, whisper: FakeWhisper) -> None:
    whisper.script[3] = Transcript("en", 0.9, ())
    with pytest.raises(openai.BadRequestError, match="no speech") as caught:
        await asked(gateway, [question(3)])
    assert caught.value.param == "messages[0].content"
    await asked(gateway, [question(3, "What was that?")])


_AUDIO = "messages[0].content[0].input_audio.data"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, _AUDIO),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "?"}}]}]}, _AUDIO),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]}]},
            _AUDIO,
        ),
        ({"messages": []}, "messages"),
        ({"n": 2}, "n"),
        ({"audio": {"voice": "alloy", "format": "midi"}}, "audio.format"),
        ({"audio": {"voice": "alloy", "pitch": 3}}, "audio.pitch"),
        ({"audio": {"voice": "nobody"}}, "audio.voice"),
        ({"modalities": ["video"]}, "modalities"),
        ({"temperature": float("1e999")}, "body"),
    ],
)
async def test_a_wrong_field_is_named(gateway: Gateway, fields: dict[str, Any], param: str) -> None:
    body = {**SPOKEN, "messages": HELLO, **fields}
    text = json.dumps(body).replace("Infinity", "1e999")
    response = await gateway.http.post(
        "/v1/chat/completions", content=text, headers={"content-type": "application/json"}
    )
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_a_recording_over_the_limit_is_told(
    serve: Serve, triton: FakeTriton, whisper: FakeWhisper, language_model: LanguageModelServer
) -> None:
    async with serve(llm_url=language_model.url, max_audio_seconds=0.5) as gateway:
        await gateway.follow(triton)
        with pytest.raises(openai.APIStatusError) as caught:
            await asked(gateway, [question(3)])
    assert (caught.value.status_code, caught.value.param) == (413, _AUDIO)


async def test_without_a_language_model_the_setting_is_named(gateway: Gateway, serve: Serve) -> None:
    async with serve() as silent:
        with pytest.raises(openai.APIStatusError, match="LLM_URL") as caught:
            await asked(silent)
    assert (caught.value.status_code, caught.value.code) == (501, "not_set_up")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failing_language_model_is_told(
    gateway: Gateway, language_model: LanguageModelServer, stream: bool
) -> None:
    language_model.status = 500
    with pytest.raises(openai.APIStatusError) as caught:
        await asked(gateway, stream=stream)
    assert caught.value.status_code == 502
    assert "secret" not in caught.value.message


async def test_a_language_model_that_breaks_off_ends_the_stream_with_an_error(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    language_model.breaks_off = True
    stream = await asked(gateway, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        async for _ in stream:
            pass


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_language_model_and_the_voice(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech, language_model: LanguageModelServer, stream: bool
) -> None:
    kokoro.gates = [asyncio.Event(), asyncio.Event()]
    kokoro.gates[0].set()
    language_model.words = ["Good morning. It", " is late."]
    language_model.gate.clear()

    async def read() -> None:
        answer = await asked(gateway, audio={**VOICE, "format": "pcm16"}, stream=stream)
        async for _ in answer:
            pass

    async with asyncio.timeout(300):
        async with leaving(read()):
            await kokoro.called.wait()
        (speaking,) = [call for call in triton.calls if "text" in call.inputs]
        await language_model.left.wait()
        await speaking.cancelled.wait()


async def test_a_client_that_leaves_stops_the_transcription(
    gateway: Gateway, whisper: FakeWhisper, language_model: LanguageModelServer
) -> None:
    async with asyncio.timeout(300), whisper.holding(3):
        async with leaving(asked(gateway, [question(3)])):
            await whisper.arrived[3].wait()
        await whisper.calls[3].cancelled.wait()
    assert not language_model.requests


async def test_usage_counts_what_was_heard_and_what_was_said(
    serve: Serve, triton: FakeTriton, whisper: FakeWhisper, language_model: LanguageModelServer
) -> None:
    triton.handlers["whisper-base"] = whisper
    async with serve(llm_url=language_model.url, api_keys="sk-one", admin_key="sk-admin") as gateway:
        await gateway.follow(triton)
        client = gateway.openai.with_options(api_key="sk-one")
        await client.chat.completions.create(messages=[question(3)], **SPOKEN)
        counted: dict[str, Any] = {}
        for kind in ("audio_speeches", "audio_transcriptions"):
            report = await gateway.http.get(
                f"/v1/organization/usage/{kind}",
                params={"start_time": int(time.time()) - 86_400},
                headers={"authorization": "Bearer sk-admin"},
            )
            counted[kind] = [result for bucket in report.json()["data"] for result in bucket["results"]]
    (spoken,), (heard,) = counted["audio_speeches"], counted["audio_transcriptions"]
    assert (spoken["characters"], spoken["num_model_requests"]) == (len(ANSWER) - 1, 1)
    assert (heard["seconds"], heard["num_model_requests"]) == (1, 1)
