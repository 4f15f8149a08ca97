"""Conversations over `/v1/realtime`, by OpenAI's own client: the turns, and the responses to them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests import websocket
from tests.fake_triton import FakeTriton
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve
from tests.unit.gateway.conversation.conftest import audio_of, of, talk
from tests.unit.gateway.realtime.test_realtime import pcm, send
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tritone.transcript import Transcript

ANSWER = "Good morning. The train leaves at nine."


def texts_of(triton: FakeTriton) -> list[str]:
    return [call.inputs["text"].item().decode() for call in triton.calls if "text" in call.inputs]


async def called(language_model: LanguageModelServer) -> None:
    async with asyncio.timeout(300):
        while not language_model.requests:  # noqa: ASYNC110 - the stand-in has no event for it
            await asyncio.sleep(0.01)


async def test_a_spoken_question_gets_a_spoken_answer(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    async with talk(gateway) as client:
        await client.say(3)
        events = await client.until("response.done")
    assert [event.type for event in events if event.type != "response.output_audio.delta"] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    (request,) = language_model.requests
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert request["messages"][1]["content"] == "part 3"
    assert texts_of(triton) == ["Good morning.", "The train leaves at nine."]
    assert len(audio_of(events)) == 2 * 2 * sum(map(len, kokoro.chunks))
    response = events[-1].response
    assert (response.status, response.conversation_id) == ("completed", client.events[1].conversation.id)
    (item,) = response.output
    assert [(part.type, part.transcript) for part in item.content] == [("output_audio", ANSWER)]
    assert [e.previous_item_id for e in of(events, "conversation.item.added")] == [None, events[0].item_id]


async def test_a_written_question_gets_the_same(gateway: Gateway, language_model: LanguageModelServer) -> None:
    async with talk(gateway) as client:
        await client.write("When does it leave?")
        await client.sdk.response.create()
        events = await client.until("response.done")
        assert events[-1].response.output[0].content[0].transcript == ANSWER
        await client.write("From where?")
        await client.sdk.response.create()
        await client.until("response.done")
    assert language_model.requests[1]["messages"][1:] == [
        {"role": "user", "content": "When does it leave?"},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": "From where?"},
    ]


async def test_an_answer_may_be_text(gateway: Gateway, triton: FakeTriton, language_model: LanguageModelServer) -> None:
    async with talk(gateway) as client:
        await client.update(output_modalities=["text"])
        await client.write("When does it leave?")
        await client.sdk.response.create()
        events = await client.until("response.done")
    assert "".join(event.delta for event in of(events, "response.output_text.delta")) == ANSWER
    assert of(events, "response.output_text.done")[0].text == ANSWER
    assert events[-1].response.output[0].content[0].text == ANSWER
    assert not triton.calls


async def test_speech_of_the_user_stops_the_language_model_and_the_voice(
    gateway: Gateway, triton: FakeTriton, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    kokoro.gates = [asyncio.Event(), asyncio.Event()]
    kokoro.gates[0].set()
    language_model.words = ["Good morning. It ", "is ", "late."]
    language_model.gate.clear()
    async with talk(gateway) as client:
        await client.say(3)
        await client.until("response.output_audio.delta")
        (speaking,) = [call for call in triton.calls if "text" in call.inputs]
        await client.say(4)
        events = await client.until("response.done")
        async with asyncio.timeout(300):
            await language_model.left.wait()
            await speaking.cancelled.wait()
        language_model.gate.set()
        kokoro.gates[1].set()
        types = [event.type for event in events]
        assert types.index("input_audio_buffer.speech_started") < types.index("response.done")
        response = events[-1].response
        assert (response.status, response.status_details.reason) == ("cancelled", "turn_detected")
        assert response.output[0].status == "incomplete"
        assert "Good morning.".startswith(response.output[0].content[0].transcript)
        again = await client.until("response.done")
        assert again[-1].response.status == "completed"
    roles = [message["role"] for message in language_model.requests[-1]["messages"]]
    assert [role for role in roles if role != "assistant"] == ["system", "user", "user"]


async def test_the_client_tells_what_was_heard(
    gateway: Gateway, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    async with talk(gateway) as client:
        await client.write("When does it leave?")
        await client.sdk.response.create()
        item = (await client.until("response.done"))[-1].response.output[0]
        # Each clause has 1.2 s of audio: the first was heard, and "The train" of "The train leaves at nine."
        await client.sdk.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=1200 + 600)
        truncated = await client.last("conversation.item.truncated")
        assert truncated.audio_end_ms == 1800
        assert truncated.to_dict()["transcript"] == "Good morning. The train"
        await client.write("From where?")
        await client.sdk.response.create()
        await client.until("response.done")
        long = client.sdk.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=60_000)
        assert (await client.error(long)).param == "audio_end_ms"
    assert language_model.requests[1]["messages"][2] == {"role": "assistant", "content": "Good morning. The train"}


async def test_a_client_cancels_a_response(
    gateway: Gateway, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    language_model.gate.clear()
    async with talk(gateway) as client:
        assert (await client.error(client.sdk.response.cancel())).code == "response_cancel_not_active"
        await client.write("When does it leave?")
        await client.sdk.response.create()
        await called(language_model)
        second = await client.error(client.sdk.response.create(event_id="mine"))
        assert (second.code, second.event_id) == ("conversation_already_has_active_response", "mine")
        await client.sdk.response.cancel()
        response = (await client.last("response.done")).response
        assert (response.status, response.status_details.reason) == ("cancelled", "client_cancelled")
        async with asyncio.timeout(300):
            await language_model.left.wait()


async def test_a_client_that_leaves_frees_the_language_model(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    language_model.gate.clear()
    async with talk(gateway) as client:
        await client.write("When does it leave?")
        await client.sdk.response.create()
        await called(language_model)
    async with asyncio.timeout(300):
        await language_model.left.wait()


async def test_functions_are_called_and_their_results_answered(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    tool: dict[str, Any] = {"name": "time_of", "description": "When a train leaves.", "parameters": {"type": "object"}}
    language_model.choices = [
        {"delta": {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "time_of", "arguments": ""}}]}},
        {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"to": '}}]}},
        {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '"Ulm"}'}}]}, "finish_reason": "tool_calls"},
    ]
    async with talk(gateway) as client:
        await client.update(tools=[{"type": "function", **tool}], tool_choice="auto")
        await client.write("When does it leave?")
        await client.sdk.response.create()
        events = await client.until("response.done")
        (done,) = of(events, "response.function_call_arguments.done")
        assert (done.name, done.call_id, json.loads(done.arguments)) == ("time_of", "call_1", {"to": "Ulm"})
        assert events[-1].response.output[0].type == "function_call"
        language_model.choices = None
        output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "nine"}
        await client.sdk.conversation.item.create(item=output)
        await client.sdk.response.create()
        assert (await client.last("response.done")).response.output[0].content[0].transcript == ANSWER
    assert language_model.requests[0]["tools"] == [{"type": "function", "function": tool}]
    assert language_model.requests[1]["messages"][2:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "time_of", "arguments": '{"to": "Ulm"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "nine"},
    ]


async def test_a_conversation_without_a_language_model_is_told_the_setting(serve: Serve) -> None:
    async with (
        serve() as gateway,
        gateway.openai.realtime.connect(
            model="gpt-realtime", websocket_connection_options=websocket.OPTIONS
        ) as connection,
    ):
        error: Any = await connection.recv()
    assert (error.type, error.error.code) == ("error", "not_set_up")
    assert "LLM_URL" in error.error.message


async def test_a_failing_language_model_fails_the_response(
    gateway: Gateway, language_model: LanguageModelServer
) -> None:
    language_model.status = 500
    async with talk(gateway) as client:
        await client.write("When does it leave?")
        await client.sdk.response.create()
        response = (await client.last("response.done")).response
        assert response.status == "failed"
        assert "500" in response.status_details.error.message
        language_model.status = 200
        await client.sdk.response.create()
        assert (await client.last("response.done")).response.status == "completed"


async def test_a_response_has_options_of_its_own(gateway: Gateway, language_model: LanguageModelServer) -> None:
    language_model.choices = [{"delta": {"content": "Ja"}, "finish_reason": "length"}]
    async with talk(gateway) as client:
        await client.write("When does it leave?")
        own: Any = {
            "conversation": "none",
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Ja?"}]}],
            "instructions": "Answer in German.",
            "max_output_tokens": 5,
            "metadata": {"topic": "trains"},
            "output_modalities": ["text"],
        }
        await client.sdk.response.create(response=own)
        events = await client.until("response.done")
        assert not of(events, "conversation.item.added")
        response = events[-1].response
        assert (response.status, response.status_details.reason) == ("incomplete", "max_output_tokens")
        assert (response.metadata, response.conversation_id) == ({"topic": "trains"}, None)
    (request,) = language_model.requests
    assert (request["max_tokens"], request["messages"]) == (
        5,
        [{"role": "system", "content": "Answer in German."}, {"role": "user", "content": "Ja?"}],
    )


async def test_silence_that_was_taken_for_speech_is_not_answered(
    gateway: Gateway, whisper: FakeWhisper, language_model: LanguageModelServer
) -> None:
    whisper.script[3] = Transcript("en", 0.9, ())
    async with talk(gateway) as client:
        await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await client.say(3)
        completed = await client.last("conversation.item.input_audio_transcription.completed")
        assert completed.transcript == ""
        await client.say(4)
        await client.until("response.done")
    assert [message["content"] for message in language_model.requests[0]["messages"][1:]] == ["part 4"]
    assert len(language_model.requests) == 1


async def test_a_turn_is_transcribed_while_it_grows_only_if_someone_needs_its_text(
    serve: Serve, triton: FakeTriton, whisper: FakeWhisper, language_model: LanguageModelServer
) -> None:
    triton.handlers["whisper-base"] = whisper
    async with serve(clocks={"partial_interval": 0.01}, llm_url=language_model.url) as gateway, talk(gateway) as client:
        await send(client.sdk, pcm((0.5, None), (3, 2)))
        await client.until("input_audio_buffer.speech_started")
        await send(client.sdk, pcm((1, None)))
        await client.until("response.done")
        assert len([call for call in triton.calls if "audio" in call.inputs]) == 1
        await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await send(client.sdk, pcm((3, 4)))
        async with asyncio.timeout(300):
            await whisper.arrived[4].wait()


async def test_a_key_of_a_conversation_opens_one(gateway: Gateway) -> None:
    configuration = {"type": "realtime", "instructions": "Be brief.", "audio": {"output": {"voice": "echo"}}}
    secret = await gateway.http.post("/v1/realtime/client_secrets", json={"session": configuration})
    assert secret.json()["session"]["object"] == "realtime.session"
    browser = gateway.openai.with_options(api_key=secret.json()["value"])
    async with browser.realtime.connect(
        model="gpt-realtime", websocket_connection_options=websocket.OPTIONS
    ) as connection:
        created: Any = await connection.recv()
        session = created.session
    assert (session.type, session.instructions, session.audio.output.voice) == ("realtime", "Be brief.", "echo")


async def test_an_answer_goes_on_if_turns_do_not_interrupt_it(
    gateway: Gateway, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    kokoro.gates = [asyncio.Event()]
    async with talk(gateway) as client:
        await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
        await client.say(3)
        await client.until("response.created")
        await client.say(4)
        await client.until("input_audio_buffer.committed")
        kokoro.gates[0].set()
        assert (await client.last("response.done")).response.status == "completed"
        assert (await client.last("response.done")).response.status == "completed"
    contents = [message["content"] for message in language_model.requests[1]["messages"][1:]]
    assert sorted(contents) == sorted(["part 3", ANSWER, "part 4"])


async def test_the_time_for_a_silence_begins_when_the_answer_was_played(
    gateway: Gateway, kokoro: FakeSpeech, language_model: LanguageModelServer
) -> None:
    kokoro.gates = [asyncio.Event()]
    async with talk(gateway) as client:
        await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
        await client.say(3)
        await client.until("response.created")
        await send(client.sdk, pcm((12, None)))
        await client.sdk.session.update(session={"type": "realtime"})
        events = await client.until("session.updated")
        assert not of(events, "input_audio_buffer.timeout_triggered")
        kokoro.gates[0].set()
        await client.until("response.done")

        async def stay_silent() -> None:
            while True:
                await send(client.sdk, pcm((1, None)))
                await asyncio.sleep(0.05)

        silence = asyncio.create_task(stay_silent())
        await client.until("input_audio_buffer.timeout_triggered")
        silence.cancel()
        assert (await client.last("response.done")).response.status == "completed"
    assert len(language_model.requests) == 2


async def test_the_configuration_has_the_fields_that_strict_clients_know(gateway: Gateway) -> None:
    async with talk(gateway) as client:
        transcription = {"model": "whisper-1", "language": "en"}
        session = await client.update(audio={"input": {"transcription": transcription}})
        fields = session.audio.to_dict()
        assert fields["input"]["format"] == fields["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert fields["input"]["transcription"].keys() == {"model", "language", "prompt"}


@pytest.mark.parametrize("encoding", ["audio/pcmu", "audio/pcma"])
async def test_the_answer_comes_in_the_encoding_of_telephones(
    gateway: Gateway, kokoro: FakeSpeech, encoding: str
) -> None:
    async with talk(gateway) as client:
        session = await client.update(audio={"output": {"format": {"type": encoding}, "voice": "echo"}})
        assert session.audio.output.format.type == encoding
        await client.write("When does it leave?")
        await client.sdk.response.create()
        events = await client.until("response.done")
    seconds = 2 * sum(map(len, kokoro.chunks)) / kokoro.rate
    assert len(audio_of(events)) / 8000 == pytest.approx(seconds, abs=0.05)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"audio": {"output": {"voice": "nobody"}}}, "session.audio.output.voice"),
        ({"audio": {"output": {"speed": 9}}}, "session.audio.output.speed"),
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"tool_choice": "sometimes"}, "session.tool_choice"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session.tools.0.type"),
    ],
)
async def test_a_wrong_setting_is_named(gateway: Gateway, change: dict[str, Any], param: str) -> None:
    async with talk(gateway) as client:
        wrong: Any = {"type": "realtime", **change}
        error = await client.error(client.sdk.session.update(session=wrong))
    assert (error.type, error.param) == ("invalid_request_error", param)
