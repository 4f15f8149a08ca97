"""The configuration of a session: OpenAI's fields, unknown ones, and the form of the API's beta."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.openai.realtime.protocol import Event
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.realtime.test_realtime import model, next_event, plain
from tests.unit.gateway.transcription.conftest import FakeWhisper, whisper

__all__ = ["model", "whisper"]

BETA_HEADER = {"OpenAI-Beta": "realtime=v1"}


async def answer(connection: Any, type_: str, session: Any) -> Event:
    await connection.send(json.dumps({"type": type_, "session": session}))
    return await next_event(connection)


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
        assert "warnings" not in changed
        back = await update(connection, turn_detection={"type": "server_vad", "idle_timeout_ms": 6000})
    assert back["session"]["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": 6000,
    }
    assert "warnings" not in back


async def test_fields_of_the_other_type_of_turn_detection_are_named(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        await next_event(connection)
        semantic = await update(connection, turn_detection={"type": "semantic_vad", "silence_duration_ms": 200})
        server = await update(connection, turn_detection={"type": "server_vad", "eagerness": "low"})
        deaf = await update(connection, turn_detection={"type": "semantic_vad"}, transcription=None)
    (first,), (second,), (third,) = semantic["warnings"], server["warnings"], deaf["warnings"]
    assert "silence_duration_ms has no effect with semantic_vad" in first
    assert "eagerness has no effect with server_vad" in second
    assert "without transcription" in third


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
        assert again["warnings"] == ["session.audio.input.transcription.delay has no effect"]
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
async def test_an_unknown_field_is_named_and_nothing_changes(
    gateway: Gateway, model: FakeWhisper, session: Any, param: str
) -> None:
    async with plain(gateway) as connection:
        created = await next_event(connection)
        error = (await answer(connection, "session.update", session))["error"]
        assert (error["param"], error["code"]) == (param, "unknown_parameter")
        assert param in error["message"]
        assert (await answer(connection, "session.update", {}))["session"] == created["session"]


async def test_null_means_the_default(gateway: Gateway, model: FakeWhisper) -> None:
    async with plain(gateway) as connection:
        created = await next_event(connection)
        await update(connection, transcription={"model": "whisper-1", "prompt": "Ort", "language": "de"})
        nothing = {"model": "whisper-1", "prompt": None, "language": None, "keywords": None, "languages": None}
        changed = await update(connection, transcription=nothing, noise_reduction=None, format=None)
        session = {"type": None, "audio": None, "include": None}
        assert changed["session"] == (await answer(connection, "session.update", session))["session"]
    assert changed["session"] == created["session"]
    assert "warnings" not in changed


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
    input_ = changed["session"]["audio"]["input"]
    assert changed["type"] == "session.updated"
    assert input_["format"]["type"] == "audio/pcmu"
    assert (input_["transcription"]["model"], input_["transcription"]["language"]) == ("gpt-4o-transcribe", "de")
    assert input_["turn_detection"] is None
    assert changed["warnings"] == ["session.audio.input.noise_reduction has no effect"]


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
