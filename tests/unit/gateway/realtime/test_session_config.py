"""The configuration of a session: OpenAI's fields, unknown ones, and the form of the API's beta."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.openai.realtime.protocol import Event
from tests import websocket
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.realtime.test_realtime import model, next_event, plain
from tests.unit.gateway.transcription.conftest import FakeWhisper, whisper

__all__ = ["model", "whisper"]

BETA_HEADER = {"OpenAI-Beta": "realtime=v1"}


async def answer(connection: Any, type_: str, session: Any) -> Event:
    await connection.send(json.dumps({"type": type_, "session": session}))
    return await next_event(connection)


async def warning(connection: Any) -> Any:
    """Return the next event, which is a warning."""
    event = await next_event(connection)
    assert event["type"] == "warning"
    return event["warning"]


async def silent(connection: Any) -> None:
    """Check that no event is on its way."""
    await connection.send('{"type": "input_audio_buffer.clear"}')
    assert (await next_event(connection))["type"] == "input_audio_buffer.cleared"


async def update(connection: Any, **input_: Any) -> Event:
    """Send a change of `audio.input`, and return the response."""
    return await answer(connection, "session.update", {"type": "transcription", "audio": {"input": input_}})


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto", None])
async def test_each_type_of_turn_detection_has_its_own_fields(
    gateway: Gateway, model: FakeWhisper, eagerness: str | None
) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        changed = await update(connection, turn_detection={"type": "semantic_vad", "eagerness": eagerness})
        assert changed["session"]["audio"]["input"]["turn_detection"] == {
            "type": "semantic_vad",
            "eagerness": eagerness or "auto",
        }
        back = await update(connection, turn_detection={"type": "server_vad", "idle_timeout_ms": 6000})
        await silent(connection)
    assert back["session"]["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": 6000,
    }


async def test_fields_of_the_other_type_of_turn_detection_are_named(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        await update(connection, turn_detection={"type": "semantic_vad", "silence_duration_ms": 200})
        first = await warning(connection)
        await update(connection, turn_detection={"type": "server_vad", "eagerness": "low"})
        second = await warning(connection)
        await update(connection, turn_detection={"type": "semantic_vad"}, transcription=None)
        third = await warning(connection)
    path = "session.audio.input.turn_detection"
    assert [given["param"] for given in (first, second, third)] == [
        f"{path}.silence_duration_ms",
        f"{path}.eagerness",
        path,
    ]
    assert {given["type"] for given in (first, second, third)} == {"no_effect"}
    assert "without transcription" in third["message"]


@pytest.mark.parametrize("milliseconds", [4999, 30_001])
async def test_an_idle_timeout_has_openais_limits(gateway: Gateway, model: FakeWhisper, milliseconds: int) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        changed = await update(connection, turn_detection={"type": "server_vad", "idle_timeout_ms": milliseconds})
    assert changed["error"]["param"] == "session.audio.input.turn_detection.idle_timeout_ms"


@pytest.mark.parametrize("id_", ["gpt-realtime-whisper", "gpt-live-transcribe"])
async def test_models_whose_turns_the_client_commits_have_no_detector_by_default(
    gateway: Gateway, model: FakeWhisper, id_: str
) -> None:
    async with plain(gateway, f"?model={id_}") as connection:
        created = await next_event(connection)
        assert created["session"]["audio"]["input"]["turn_detection"] is None
        other = await update(connection, transcription={"model": "whisper-1"})
        assert other["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"
        again = await update(connection, transcription={"model": id_, "language": "en", "delay": "low"})
        assert again["session"]["audio"]["input"]["turn_detection"] is None
        assert again["session"]["audio"]["input"]["transcription"]["delay"] == "low"
        chosen = await update(connection, turn_detection={"type": "server_vad"})
        assert chosen["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"
        kept = await update(connection, transcription={"model": id_, "language": "de"})
    assert kept["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"typo": 1}, "session.typo"),
        ({"audio": {"output": {"voice": "alloy"}}}, "session.audio.output"),
        ({"audio": {"input": {"turn_detection": {"silence": 3}}}}, "session.audio.input.turn_detection.silence"),
        ({"audio": {"input": {"transcription": {"langauge": "de"}}}}, "session.audio.input.transcription.langauge"),
    ],
)
async def test_an_unknown_field_is_named_in_a_warning(
    gateway: Gateway, model: FakeWhisper, session: Any, param: str
) -> None:
    async with plain(gateway) as connection:
        created = await next_event(connection)
        await connection.send(json.dumps({"type": "session.update", "session": session, "event_id": "mine"}))
        assert (await next_event(connection))["session"] == created["session"]
        given = await warning(connection)
    assert (given["type"], given["param"], given["event_id"]) == ("unknown_field", param, "mine")
    assert param in given["message"]


async def test_known_fields_beside_unknown_ones_are_followed(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        asked = {"model": "whisper-1", "language": "de", "langauge": "fr", "wish": [1]}
        changed = await update(connection, transcription=asked, turn_detection={"silence_duration_ms": 300, "x": {}})
        named = [(await warning(connection))["param"] for _ in range(3)]
    assert changed["session"]["audio"]["input"]["transcription"]["language"] == "de"
    assert changed["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 300
    path = "session.audio.input"
    assert named == [f"{path}.transcription.langauge", f"{path}.transcription.wish", f"{path}.turn_detection.x"]


async def test_a_wrong_value_beside_an_unknown_field_is_an_error(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        created = await next_event(connection)
        error = (await update(connection, typo=1, turn_detection={"threshold": "loud"}))["error"]
        assert error["param"] == "session.audio.input.turn_detection.threshold"
        assert (await answer(connection, "session.update", {}))["session"] == created["session"]


async def test_a_flood_of_unknown_fields_is_summed_up(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        await update(connection, **{f"field{index}": index for index in range(100)})
        *_, last = [await warning(connection) for _ in range(21)]
        await silent(connection)
    assert "80 more fields" in last["message"]


async def test_an_unknown_field_of_an_event_is_named_once(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        for _ in range(2):
            await connection.send('{"type": "input_audio_buffer.append", "audio": "AAAA", "final": true}')
        assert (await next_event(connection))["error"]["param"] == "audio", "3 bytes are no whole samples"
        assert (await next_event(connection))["error"]["param"] == "audio"
        for _ in range(2):
            await connection.send('{"type": "input_audio_buffer.append", "audio": "AAAAAA==", "final": true}')
        given = await warning(connection)
        await silent(connection)
    assert (given["type"], given["param"]) == ("unknown_field", "final")
    assert "input_audio_buffer.append" in given["message"]


async def test_the_sdk_takes_a_warning_for_an_event(gateway: Gateway, model: FakeWhisper) -> None:
    async with gateway.openai.realtime.connect(
        extra_query={"intent": "transcription"}, websocket_connection_options=websocket.OPTIONS
    ) as connection:
        change: Any = {"type": "transcription", "typo": 1}
        await connection.session.update(session=change)
        async with asyncio.timeout(300):
            events = [await connection.recv() for _ in range(3)]
    assert [event.type for event in events] == ["session.created", "session.updated", "warning"]
    assert json.loads(events[-1].to_json())["warning"]["param"] == "session.typo"


async def test_null_means_the_default(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        created = await next_event(connection)
        await update(connection, transcription={"model": "whisper-1", "prompt": "Ort", "language": "de"})
        nothing = {"model": "whisper-1", "prompt": None, "language": None, "keywords": None, "languages": None}
        changed = await update(connection, transcription=nothing, noise_reduction=None, format=None)
        await silent(connection)
        session = {"type": None, "audio": None, "include": None}
        assert changed["session"] == (await answer(connection, "session.update", session))["session"]
    assert changed["session"] == created["session"]


async def test_a_client_may_send_the_whole_session_back(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        created = await next_event(connection)
        changed = await answer(connection, "session.update", created["session"])
    assert changed["session"] == created["session"]


FLAT = {
    "input_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "de"},
    "turn_detection": None,
    "input_audio_noise_reduction": {"type": "near_field"},
}


async def test_flat_fields_are_followed(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        changed = await answer(connection, "session.update", FLAT)
        ignored = await warning(connection)
    input_ = changed["session"]["audio"]["input"]
    assert changed["type"] == "session.updated"
    assert input_["format"]["type"] == "audio/pcmu"
    assert (input_["transcription"]["model"], input_["transcription"]["language"]) == ("gpt-4o-transcribe", "de")
    assert input_["turn_detection"] is None
    assert (ignored["type"], ignored["param"]) == ("no_effect", "session.input_audio_noise_reduction")
    assert ignored["message"].startswith("session.input_audio_noise_reduction:")


async def test_the_betas_update_is_answered_in_its_form(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway, additional_headers=BETA_HEADER) as connection:
        created = await next_event(connection)
        assert created["type"] == "transcription_session.created"
        assert created["session"]["input_audio_format"] == "pcm16"
        changed = await answer(connection, "transcription_session.update", FLAT)
    assert changed["type"] == "transcription_session.updated"
    assert changed["session"]["input_audio_format"] == "g711_ulaw"
    assert changed["session"]["input_audio_transcription"]["language"] == "de"
    assert changed["session"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"turn_detection": {"threshold": 7}}, "session.turn_detection.threshold"),
        (
            {"input_audio_transcription": {"model": "whisper-1", "language": "x"}},
            "session.input_audio_transcription.language",
        ),
    ],
)
async def test_a_wrong_flat_value_is_named_as_it_was_sent(
    gateway: Gateway, model: FakeWhisper, session: Any, param: str
) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        changed = await answer(connection, "transcription_session.update", session)
    assert changed["error"]["param"] == param
    assert changed["error"]["message"].startswith(param)


async def test_a_wrong_flat_format_is_named(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        changed = await answer(connection, "transcription_session.update", {"input_audio_format": "mp3"})
    assert changed["error"]["param"] == "session.input_audio_format"


@pytest.mark.parametrize(
    ("sent", "language", "languages"),
    [
        ({"language": "Auto"}, None, []),
        ({"language": ""}, None, []),
        ({"language": "nb-NO"}, "no", []),
        ({"languages": ["", "auto", "cmn", "zh", "eng"], "keywords": ["", None]}, None, ["zh", "en"]),
    ],
)
async def test_languages_are_taken_as_in_transcriptions(
    gateway: Gateway, model: FakeWhisper, sent: dict[str, Any], language: str | None, languages: list[str]
) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        changed = await update(connection, transcription={"model": "whisper-1", **sent})
    settings = changed["session"]["audio"]["input"]["transcription"]
    assert (settings["language"], settings["languages"], settings["keywords"]) == (language, languages, [])
