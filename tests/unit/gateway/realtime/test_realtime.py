"""`/v1/realtime?intent=transcription`, by the official client and by a plain WebSocket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import av
import grpc
import numpy as np
import pytest
import websockets
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from gateway.openai.realtime.protocol import Event
from tests import websocket
from tests.fake_triton import Call, FakeTriton, Status, Tensors
from tests.unit.gateway.conftest import FAR, Deadlines, Gateway, Serve
from tests.unit.gateway.recordings import tone
from tests.unit.gateway.transcription.conftest import FakeWhisper, segment, whisper
from tritone.transcript import Transcript

__all__ = ["whisper"]

RATE = 24_000
TRANSCRIPTION = "conversation.item.input_audio_transcription"


@pytest.fixture
def model(triton: FakeTriton, whisper: FakeWhisper) -> FakeWhisper:
    triton.handlers["whisper-base"] = whisper
    return whisper


def pcm(*stretches: tuple[float, int | None], rate: int = RATE) -> bytes:
    """Return stretches of so many seconds: tones that `FakeWhisper` transcribes as the n-th part, or silence."""
    pieces = [
        np.zeros(round(seconds * rate), np.float32)
        if part is None
        else tone(seconds, rate, 300.0) * np.float32(0.22 + 0.02 * part)
        for seconds, part in stretches
    ]
    return (np.concatenate(pieces) * 32767).astype("<i2").tobytes()


async def send(connection: AsyncRealtimeConnection, audio: bytes) -> None:
    """Send audio in pieces of a tenth of a second, as a microphone would."""
    for start in range(0, len(audio), 4800):
        piece = base64.b64encode(audio[start : start + 4800]).decode()
        await connection.input_audio_buffer.append(audio=piece)


async def until(connection: AsyncRealtimeConnection, type_: str) -> list[Any]:
    """Return the events up to the first of `type_`."""
    events = []
    async with asyncio.timeout(300):
        async for event in connection:
            events.append(event)
            if event.type == type_:
                return events
    raise AssertionError(f"the session ended before {type_}: {events}")


@asynccontextmanager
async def session(gateway: Gateway, **query: str) -> AsyncIterator[AsyncRealtimeConnection]:
    async with gateway.openai.realtime.connect(
        extra_query={"intent": "transcription", **query}, websocket_connection_options=websocket.OPTIONS
    ) as connection:
        (created,) = await until(connection, "session.created")
        assert created.session.type == "transcription"
        yield connection


async def updated(connection: AsyncRealtimeConnection, **settings: Any) -> Any:
    """Return the session's configuration after a change of `audio.input`."""
    change: Any = {"type": "transcription", "audio": {"input": settings}}
    await connection.session.update(session=change)
    (event,) = await until(connection, "session.updated")
    return event.session


async def test_a_turn_is_detected_and_transcribed(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        await send(connection, pcm((1, None), (2, 3), (1, None)))
        events = await until(connection, f"{TRANSCRIPTION}.completed")
    assert [event.type for event in events] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{TRANSCRIPTION}.delta",
        f"{TRANSCRIPTION}.completed",
    ]
    started, stopped, committed, added, _, delta, completed = events
    assert started.audio_start_ms == pytest.approx(700, abs=64)
    assert stopped.audio_end_ms == pytest.approx(3500, abs=64)
    ids = {started.item_id, stopped.item_id, committed.item_id, added.item.id, delta.item_id, completed.item_id}
    assert len(ids) == 1
    assert committed.previous_item_id is None
    assert (delta.delta, completed.transcript) == ("part 3", "part 3")
    assert completed.usage.type == "duration"
    assert completed.usage.seconds == pytest.approx(2.8, abs=0.1)
    assert [language.code for language in completed.languages] == ["de"]
    # The text may have been begun in the silence.
    assert 2.4 < model.calls[3].inputs["audio"].shape[1] / 16_000 < 2.9


async def test_each_turn_is_an_item_after_the_one_before(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        await send(connection, pcm((1, 1), (1, None), (1, 2), (1, None)))
        events = await until(connection, f"{TRANSCRIPTION}.completed")
        events += await until(connection, f"{TRANSCRIPTION}.completed")
    first, second = [event for event in events if event.type == "input_audio_buffer.committed"]
    assert second.previous_item_id == first.item_id != second.item_id
    texts = {e.item_id: e.transcript for e in events if e.type == f"{TRANSCRIPTION}.completed"}
    assert texts == {first.item_id: "part 1", second.item_id: "part 2"}


async def called(triton: FakeTriton, times: int) -> None:
    async with asyncio.timeout(300):
        while len(triton.calls) < times:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0.01)


async def test_partial_text_is_sent_while_a_turn_grows(serve: Serve, triton: FakeTriton) -> None:
    async def growing(call: Call) -> AsyncIterator[Tensors]:
        """Transcribe one word more at each call, and a wrong one after it."""
        calls = len(triton.calls)
        words = [*(f"w{n}" for n in range(calls + 1)), f"guess{calls}"]
        yield Transcript("en", 0.9, (segment(" " + " ".join(words)),)).to_columns()

    triton.handlers["whisper-base"] = growing
    async with serve(clocks={"partial_interval": 0.01}) as gateway, session(gateway) as connection:
        await send(connection, pcm((4, 0)))
        for calls in (1, 2):
            await called(triton, calls)
            await send(connection, pcm((1, 0)))
        started, delta = await until(connection, f"{TRANSCRIPTION}.delta")
        assert started.type == "input_audio_buffer.speech_started"
        assert delta.item_id == started.item_id
        await send(connection, pcm((1, None)))
        events = [delta, *await until(connection, f"{TRANSCRIPTION}.completed")]
    said = "".join(event.delta for event in events if event.type == f"{TRANSCRIPTION}.delta")
    assert delta.delta.startswith("w0 w1")
    assert "guess" not in delta.delta
    assert said == events[-1].transcript


async def test_a_client_may_commit_turns_itself(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        assert (await updated(connection, turn_detection=None)).audio.input.turn_detection is None
        await send(connection, pcm((2, 4), (1, None)))
        await connection.input_audio_buffer.clear()
        await send(connection, pcm((10, 1), (6, None), (20, 2)))
        await connection.input_audio_buffer.commit()
        events = await until(connection, f"{TRANSCRIPTION}.completed")
    assert [event.type for event in events] == [
        "input_audio_buffer.cleared",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{TRANSCRIPTION}.delta",
        f"{TRANSCRIPTION}.delta",
        f"{TRANSCRIPTION}.completed",
    ]
    assert events[-1].transcript == "part 1 part 2"
    assert set(model.calls) == {1, 2}


async def test_partial_text_of_a_turn_that_the_client_commits(
    serve: Serve, triton: FakeTriton, whisper: FakeWhisper
) -> None:
    """Text comes before the commit: of each piece of speech, but not of silence."""
    triton.handlers["whisper-base"] = whisper
    query = {"model": "gpt-realtime-whisper"}
    async with serve(clocks={"partial_interval": 0.01}) as gateway, session(gateway, **query) as connection:
        await send(connection, pcm((1, None), (1, 1), (1, None)))
        (first,) = await until(connection, f"{TRANSCRIPTION}.delta")
        await send(connection, pcm((1, 2), (1, None)))
        (second,) = await until(connection, f"{TRANSCRIPTION}.delta")
        assert (first.delta, second.delta) == ("part 1", " part 2")
        await connection.input_audio_buffer.commit()
        committed, *_, completed = await until(connection, f"{TRANSCRIPTION}.completed")
        assert committed.type == "input_audio_buffer.committed"
        assert {first.item_id, second.item_id, completed.item_id} == {committed.item_id}
        await send(connection, pcm((1, 3)))
        await connection.input_audio_buffer.commit()
        *_, next_turn = await until(connection, f"{TRANSCRIPTION}.completed")
    assert next_turn.item_id != completed.item_id
    assert next_turn.transcript == "part 3"


@pytest.mark.parametrize("query", [{}, {"model": "gpt-live-transcribe"}])
async def test_a_second_commit_confirms_the_turn_again(
    gateway: Gateway, model: FakeWhisper, query: dict[str, str]
) -> None:
    async with session(gateway, **query) as connection:
        await send(connection, pcm((1, 1), (0.3, None)))
        await connection.input_audio_buffer.commit()
        events = await until(connection, f"{TRANSCRIPTION}.completed")
        await send(connection, pcm((0.05, None)))
        await connection.input_audio_buffer.commit()
        (again,) = await until(connection, "input_audio_buffer.committed")
        await send(connection, pcm((1, 2)))
        await connection.input_audio_buffer.commit()
        *_, completed = await until(connection, f"{TRANSCRIPTION}.completed")
    (first,) = [event for event in events if event.type == "input_audio_buffer.committed"]
    assert (again.item_id, again.previous_item_id) == (first.item_id, first.previous_item_id)
    assert completed.transcript == "part 2"


async def test_chinese_text_is_written_in_the_sessions_script(gateway: Gateway, model: FakeWhisper) -> None:
    model.script[1] = Transcript("zh", 0.9, (segment("软件里的头发"),))
    async with session(gateway) as connection:
        await updated(connection, transcription={"model": "whisper-1", "s2t": True}, turn_detection=None)
        await send(connection, pcm((1, 1)))
        await connection.input_audio_buffer.commit()
        delta, completed = (await until(connection, f"{TRANSCRIPTION}.completed"))[-2:]
    assert delta.delta == completed.transcript == "軟件裏的頭髮"


async def test_the_model_gets_the_sessions_options(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway, model="gpt-4o-transcribe") as connection:
        settings = {"model": "whisper-1", "language": "German", "prompt": "Ort", "keywords": ["Triton"]}
        config = await updated(connection, transcription=settings, turn_detection={"silence_duration_ms": 200})
        assert config.audio.input.transcription.language == "de"
        assert config.audio.input.turn_detection.silence_duration_ms == 200
        assert config.audio.input.turn_detection.threshold == 0.5
        # What is not mentioned stays.
        assert (await updated(connection, noise_reduction={"type": "near_field"})).audio == config.audio
        await send(connection, pcm((1, 0), (0.4, None)))
        await until(connection, f"{TRANSCRIPTION}.completed")
    parameters = {**model.calls[0].parameters}
    assert parameters == {"language": "de", "prompt": "Ort", "hotwords": "Triton", "clip": True, "priority": 1}


async def test_logprobs_are_sent_on_request(gateway: Gateway, model: FakeWhisper) -> None:
    said = replace(segment(" hi"), tokens=(1,), token_texts=(b" hi",), token_logprobs=(-0.5,))
    model.script[0] = Transcript("en", 0.9, (said,))
    async with session(gateway) as connection:
        include: Any = ["item.input_audio_transcription.logprobs"]
        await connection.session.update(session={"type": "transcription", "include": include})
        await until(connection, "session.updated")
        await send(connection, pcm((1, 0), (1, None)))
        *_, completed = await until(connection, f"{TRANSCRIPTION}.completed")
    assert [(p.token, p.logprob) for p in completed.logprobs] == [(" hi", -0.5)]


@pytest.mark.parametrize(("name", "codec"), [("audio/pcmu", "pcm_mulaw"), ("audio/pcma", "pcm_alaw")])
async def test_telephone_audio_is_transcribed(gateway: Gateway, model: FakeWhisper, name: str, codec: str) -> None:
    encoder = av.AudioCodecContext.create(codec, "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"
    samples = np.frombuffer(pcm((1, 5), (1, None), rate=8000), "<i2")
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "mono")
    frame.sample_rate = 8000
    audio = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    assert len(audio) == len(samples)
    async with session(gateway) as connection:
        await updated(connection, format={"type": name})
        await send(connection, audio)
        *_, completed = await until(connection, f"{TRANSCRIPTION}.completed")
    assert completed.transcript == "part 5"


async def test_a_turn_longer_than_a_window_continues_as_the_next(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        audio = pcm((22, 1), (0.4, None), (18, 2), (1, None))
        await connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())
        events = await until(connection, f"{TRANSCRIPTION}.completed")
        events += await until(connection, f"{TRANSCRIPTION}.completed")
    ends = [event.audio_end_ms for event in events if event.type == "input_audio_buffer.speech_stopped"]
    assert ends == pytest.approx([22_200, 40_900], abs=100)
    starts = [event.audio_start_ms for event in events if event.type == "input_audio_buffer.speech_started"]
    assert starts == [0, ends[0]]
    transcripts = {event.transcript for event in events if event.type == f"{TRANSCRIPTION}.completed"}
    assert transcripts == {"part 1", "part 2"}


async def test_a_failing_turn_is_reported_and_the_session_continues(gateway: Gateway, model: FakeWhisper) -> None:
    model.failures[0] = Status(grpc.StatusCode.INTERNAL, "secret")
    async with session(gateway) as connection:
        await send(connection, pcm((1, 0), (1, None)))
        *_, failed = await until(connection, f"{TRANSCRIPTION}.failed")
        assert failed.error.type == "server_error"
        assert "secret" not in failed.error.message
        await send(connection, pcm((1, 1), (1, None)))
        *_, completed = await until(connection, f"{TRANSCRIPTION}.completed")
    assert completed.transcript == "part 1"


async def test_turns_are_not_transcribed_when_that_is_turned_off(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        await updated(connection, transcription=None)
        await send(connection, pcm((1, 0), (1, None)))
        await until(connection, "conversation.item.done")
    assert model.calls == {}


@asynccontextmanager
async def plain(gateway: Gateway, query: str = "?intent=transcription", **options: Any) -> AsyncIterator[Any]:
    url = gateway.url.replace("http", "ws", 1) + f"/v1/realtime{query}"
    async with websockets.connect(url, open_timeout=300, **options) as connection, asyncio.timeout(300):
        yield connection


async def next_event(connection: Any) -> Event:
    event: Event = json.loads(await connection.recv())
    return event


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ("{", None),
        ("[" * 100_000, None),
        ('{"type": "session.update", "session": ' + '{"a": ' * 100_000, None),
        ('{"type": "input_audio_buffer.clear", "event_id": "\\ud800"}', None),
        ('{"type": "session.update", "session": {"threshold": NaN}}', None),
        ("[]", None),
        (b"\xff\x00", None),
        ({"type": "response.create"}, "type"),
        ('{"type": "input_audio_buffer.clear", "event_id": 7}', "event_id"),
        ({"type": "input_audio_buffer.commit"}, None),
        ({"type": "input_audio_buffer.append", "audio": "?"}, "audio"),
        ({"type": "input_audio_buffer.append", "audio": 7}, "audio"),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "audio"),
        ({"type": "session.update"}, "session"),
        ({"type": "session.update", "session": [1]}, "session"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "session.type"),
        (
            {"type": "session.update", "session": {"audio": {"input": {"turn_detection": {"threshold": 7}}}}},
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"type": "session.update", "session": {"audio": {"input": {"transcription": {"language": "klingon"}}}}},
            "session.audio.input.transcription.language",
        ),
        ({"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "x"}}}}}, "model"),
    ],
)
async def test_a_wrong_event_is_reported_and_the_session_continues(
    gateway: Gateway, model: FakeWhisper, event: Any, param: str | None
) -> None:
    async with plain(gateway) as connection:
        created = await next_event(connection)
        if isinstance(event, dict):
            event = json.dumps({**event, "event_id": "mine"})
        await connection.send(event)
        error = await next_event(connection)
        assert error["type"] == "error"
        assert set(error["error"]) == {"message", "type", "param", "code", "event_id"}
        assert (error["error"]["type"], error["error"]["param"]) == ("invalid_request_error", param)
        assert error["error"]["event_id"] == ("mine" if isinstance(event, str) and "mine" in event else None)
        await connection.send('{"type": "session.update", "session": {}}')
        assert (await next_event(connection))["session"] == created["session"]


async def test_a_full_buffer_loses_its_oldest_audio(gateway: Gateway, model: FakeWhisper) -> None:
    async with session(gateway) as connection:
        await updated(connection, turn_detection=None)
        minute = base64.b64encode(pcm((1, 1), (59, None))).decode()
        await connection.input_audio_buffer.append(audio=minute)
        silence = base64.b64encode(pcm((60, None))).decode()
        for _ in range(5):
            await connection.input_audio_buffer.append(audio=silence)
        await send(connection, pcm((1, 2)))
        await connection.input_audio_buffer.commit()
        *_, completed = await until(connection, f"{TRANSCRIPTION}.completed")
    assert completed.transcript == "part 2"
    assert completed.usage.seconds == pytest.approx(300, abs=0.2)


@pytest.mark.parametrize("query", ["?intent=conversation", "?intent=transcription&model=kokoro-82m", "?model=gpt-x"])
async def test_a_session_of_another_kind_is_rejected(gateway: Gateway, query: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with plain(gateway, query):
            pass
    assert refused.value.response.status_code == (404 if "model" in query else 400)
    error = json.loads(refused.value.response.body or b"")["error"]
    assert set(error) == {"message", "type", "param", "code"}


async def test_a_rejected_session_is_no_error_in_the_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(websockets.InvalidStatus):
        async with plain(gateway, "?intent=conversation"):
            pass
    assert (await gateway.http.get("/health")).status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_websocket_to_another_path_is_a_404(gateway: Gateway) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(gateway.url.replace("http", "ws", 1) + "/v1/nowhere", open_timeout=300):
            pass
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body or b"")["error"]["code"] == "not_found"


async def test_a_session_without_intent_is_one_of_transcription(gateway: Gateway, model: FakeWhisper) -> None:
    async with gateway.openai.realtime.connect(
        model="gpt-4o-transcribe", websocket_connection_options=websocket.OPTIONS
    ) as connection:
        (created,) = await until(connection, "session.created")
    assert created.session.type == "transcription"
    assert created.session.audio.input.transcription.model == "gpt-4o-transcribe"


@pytest.mark.parametrize("model_field", ["model", "transcription_model"])
async def test_the_query_may_name_the_language(gateway: Gateway, model: FakeWhisper, model_field: str) -> None:
    async with session(gateway, **{model_field: "gpt-4o-transcribe", "language": "German"}) as connection:
        config = await updated(connection)
    transcription = config.audio.input.transcription
    assert (transcription.model, transcription.language) == ("gpt-4o-transcribe", "de")


async def test_a_key_comes_in_a_header_or_among_the_subprotocols(serve: Serve, model: FakeWhisper) -> None:
    async with serve(api_keys="sk-test,other") as gateway:
        async with session(gateway):
            pass
        offered: Any = ["realtime", "openai-insecure-api-key.other", "openai-beta.realtime-v1"]
        async with plain(gateway, subprotocols=offered) as connection:
            assert connection.subprotocol == "realtime"
            assert (await next_event(connection))["type"] == "session.created"
        for wrong in ({}, {"additional_headers": {"Authorization": "Bearer x"}}, {"subprotocols": ["realtime"]}):
            with pytest.raises(websockets.InvalidStatus) as refused:
                async with plain(gateway, **wrong):
                    pass
            assert refused.value.response.status_code == 401


async def test_sessions_are_bounded(serve: Serve, model: FakeWhisper) -> None:
    async with serve(max_realtime_sessions=1) as gateway, plain(gateway):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with plain(gateway):
                pass
    assert refused.value.response.status_code == 429
    assert "retry-after" in refused.value.response.headers


async def test_a_client_that_disconnects_frees_its_session_while_turns_wait(serve: Serve, model: FakeWhisper) -> None:
    """The session is busy: as many turns are in progress as may be, and further audio waits."""
    async with serve(max_realtime_sessions=1) as gateway, model.holding(1):
        async with session(gateway) as connection:
            await send(connection, pcm(*[(0.5, 1), (0.7, None)] * 8))
            for _ in range(4):
                await until(connection, "conversation.item.done")
        async with asyncio.timeout(300):
            while True:
                try:
                    async with plain(gateway):
                        break
                except websockets.InvalidStatus:
                    await asyncio.sleep(0.01)


async def test_a_long_silence_does_not_end_a_session(serve: Serve, model: FakeWhisper, deadlines: Deadlines) -> None:
    """Only the session's own deadline is begun."""
    async with serve(realtime_session_timeout=FAR) as gateway, plain(gateway) as connection:
        await next_event(connection)
        await connection.send('{"type": "input_audio_buffer.clear"}')
        assert (await next_event(connection))["type"] == "input_audio_buffer.cleared"
        assert len(deadlines.begun) == 1
    assert gateway.services.settings.realtime_idle_timeout == 0


@pytest.mark.parametrize(
    ("setting", "code"),
    [({"realtime_idle_timeout": 1}, "idle_timeout"), ({"realtime_session_timeout": 1}, "session_expired")],
)
async def test_a_session_has_deadlines(serve: Serve, setting: dict[str, float], code: str) -> None:
    async with serve(**setting) as gateway, plain(gateway) as connection:
        await next_event(connection)
        assert (await next_event(connection))["error"]["code"] == code
        with pytest.raises(websockets.ConnectionClosedOK):
            await connection.recv()


async def test_a_client_that_disconnects_cancels_its_turns(
    gateway: Gateway, model: FakeWhisper, request_lines: Any
) -> None:
    async with model.holding(6):
        async with session(gateway) as connection:
            await send(connection, pcm((1, 6), (1, None)))
            async with asyncio.timeout(300):
                await model.arrived[6].wait()
        async with asyncio.timeout(300):
            await model.calls[6].cancelled.wait()
            while not request_lines():  # noqa: ASYNC110 - the line is written behind the last event
                await asyncio.sleep(0.01)
    (line,) = request_lines()
    assert (line["status"], line["model"]) == (101, "whisper-base")
    assert 1 <= line["audio_seconds"] <= 2.01, "what was read before the client left"
