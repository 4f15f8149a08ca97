"""Models and voices, as OpenAI's client and Open WebUI ask for them."""

from __future__ import annotations

import openai
import pytest

from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import Gateway, Serve


async def test_the_sdk_lists_the_chosen_models(gateway: Gateway) -> None:
    models = (await gateway.openai.models.list()).data
    assert [(model.id, model.owned_by, model.object) for model in models] == [
        ("kokoro-82m", "hexgrad", "model"),
        ("whisper-base", "openai", "model"),
    ]
    assert all(model.created > 1_700_000_000 for model in models)


@pytest.mark.parametrize(
    ("name", "id_"), [("kokoro-82m", "kokoro-82m"), ("tts-1", "kokoro-82m"), ("whisper-1", "whisper-base")]
)
async def test_a_model_is_found_by_id_and_by_alias(gateway: Gateway, name: str, id_: str) -> None:
    assert (await gateway.openai.models.retrieve(name)).id == id_


@pytest.mark.parametrize("name", ["qwen3-tts-0.6b", "hub/model"])
async def test_a_model_that_is_not_chosen_is_a_404_with_those_that_are(gateway: Gateway, name: str) -> None:
    with pytest.raises(openai.NotFoundError, match="kokoro-82m, whisper-base") as caught:
        await gateway.openai.models.retrieve(name)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_only_what_is_chosen_is_listed(serve: Serve) -> None:
    async with serve(tts_modes="none") as gateway:
        assert [model.id for model in (await gateway.openai.models.list()).data] == ["whisper-base"]
        assert (await gateway.http.get("/v1/audio/models")).json() == {"models": []}
        assert (await gateway.http.get("/v1/audio/voices")).json() == {"voices": []}


async def test_open_webui_finds_models_that_speak(gateway: Gateway) -> None:
    assert (await gateway.http.get("/v1/audio/models")).json() == {"models": [{"id": "kokoro-82m"}]}


@pytest.mark.parametrize("query", ["", "?model=tts-1", "?model=kokoro-82m"])
async def test_open_webui_finds_the_models_own_voices(gateway: Gateway, query: str) -> None:
    answer = await gateway.http.get(f"/v1/audio/voices{query}")
    voices = answer.json()["voices"]
    assert voices[0] == {"id": "af_heart", "name": "Heart"}
    assert [voice["id"] for voice in voices] == ["af_heart", "af_alloy", "af_bella", "bf_emma"]


async def test_voices_of_a_model_that_does_not_speak_are_a_404(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/audio/voices?model=whisper-base")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")


async def test_a_model_is_asked_for_its_voices_once(serve: Serve, triton: FakeTriton) -> None:
    async with serve() as gateway:
        for _ in range(3):
            await gateway.http.get("/v1/audio/voices")
    assert len(triton.calls) == 1
