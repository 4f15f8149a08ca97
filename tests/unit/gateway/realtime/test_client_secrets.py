"""`POST /v1/realtime/client_secrets`: short-lived keys for browsers."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest
import websockets

from gateway.client_secrets import ClientSecrets
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.realtime.test_realtime import model, next_event, plain
from tests.unit.gateway.transcription.conftest import FakeWhisper, whisper

__all__ = ["model", "whisper"]

KEYS = {"api_keys": "sk-test,sk-other"}
LONG = ["k" * 200] * 30
SESSION: Any = {
    "type": "transcription",
    "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe", "language": "de"}, "turn_detection": None}},
}


def as_browser(secret: str) -> Any:
    """Return the options of a WebSocket as OpenAI's client opens it in a browser."""
    return {"subprotocols": ["realtime", f"openai-insecure-api-key.{secret}"]}


async def test_a_secret_opens_sessions_with_its_configuration(serve: Serve, model: FakeWhisper) -> None:
    async with serve(**KEYS) as gateway:
        before = int(time.time())
        created = await gateway.openai.realtime.client_secrets.create(
            session=SESSION, expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert before <= created.expires_at - 3600 <= time.time()
        assert created.session.type == "transcription"
        for options in (
            as_browser(created.value),
            {"additional_headers": {"Authorization": f"Bearer {created.value}"}},
        ):
            async with plain(gateway, "", **options) as connection:
                input_ = (await next_event(connection))["session"]["audio"]["input"]
            assert (input_["transcription"]["model"], input_["transcription"]["language"]) == (
                "gpt-4o-transcribe",
                "de",
            )
            assert input_["turn_detection"] is None


async def test_a_secret_is_for_live_sessions_alone(serve: Serve, model: FakeWhisper) -> None:
    async with serve(**KEYS) as gateway:
        secret = (await gateway.openai.realtime.client_secrets.create()).value
        browser = gateway.openai.with_options(api_key=secret)
        for call in (browser.models.list, browser.realtime.client_secrets.create):
            with pytest.raises(openai.AuthenticationError):
                await call()


async def test_a_wrong_or_expired_secret_is_rejected(serve: Serve, model: FakeWhisper) -> None:
    now = int(time.time())
    ours, others = ClientSecrets(["sk-test"]), ClientSecrets(["sk-stranger"])
    good = ours.issue({"session": {}}, now + 3600)
    content, signature = good.split(".")
    wrong = [
        ours.issue({"session": {}}, now - 1),
        others.issue({"session": {}}, now + 3600),
        f"{content[:-2]}.{signature}",
        f"{content}.{signature}.{signature}",
        *(content, "ek_", "ek_.", "ek_x.y"),
    ]
    async with serve(**KEYS) as gateway:
        async with plain(gateway, **as_browser(good)):
            pass
        for secret in wrong:
            with pytest.raises(websockets.InvalidStatus) as rejected:
                async with plain(gateway, **as_browser(secret)):
                    pass
            assert rejected.value.response.status_code == 401, secret


async def test_a_secret_without_keys_holds_the_configuration(gateway: Gateway, model: FakeWhisper) -> None:
    created = await gateway.openai.realtime.client_secrets.create(session=SESSION)
    async with plain(gateway, **as_browser(created.value)) as connection:
        assert (await next_event(connection))["session"]["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"session": {"type": "translation"}}, 400, "session.type"),
        ({"session": {"audio": {"input": {"transcription": {"model": "x"}}}}}, 404, "model"),
        (
            {"session": {"audio": {"input": {"transcription": {"model": "whisper-1", "keywords": LONG}}}}},
            400,
            "session",
        ),
        ({"expires_after": {"seconds": 5}}, 400, "expires_after"),
    ],
)
async def test_a_wrong_configuration_gets_no_secret(
    gateway: Gateway, model: FakeWhisper, body: Any, status: int, param: str
) -> None:
    answer = await gateway.http.post("/v1/realtime/client_secrets", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_the_beta_has_its_own_form(gateway: Gateway, model: FakeWhisper) -> None:
    session = {"input_audio_transcription": {"model": "whisper-1"}, "turn_detection": None}
    answer = await gateway.http.post("/v1/realtime/transcription_sessions", json=session)
    created = answer.json()
    assert created["input_audio_transcription"]["model"] == "whisper-1"
    async with plain(gateway, **as_browser(created["client_secret"]["value"])) as connection:
        assert (await next_event(connection))["session"]["audio"]["input"]["turn_detection"] is None


async def test_an_unknown_field_of_a_secrets_session_is_named(gateway: Gateway, model: FakeWhisper) -> None:
    answer = await gateway.http.post("/v1/realtime/client_secrets", json={"session": {"typo": 1}})
    (warning,) = answer.json()["warnings"]
    assert (warning["type"], warning["param"]) == ("unknown_field", "session.typo")
