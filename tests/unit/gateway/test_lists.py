"""The lists of models and voices, by OpenAI's client and as Open WebUI requests them."""

from __future__ import annotations

from dataclasses import replace

import openai
import pytest

from tests.fake_triton import CREATED, FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve
from tritone.descriptions import Voice


async def test_the_sdk_lists_the_chosen_models(gateway: Gateway) -> None:
    models = (await gateway.openai.models.list()).data
    assert [(model.id, model.owned_by, model.object) for model in models] == [
        ("kokoro-82m", "hexgrad", "model"),
        ("whisper-base", "openai", "model"),
    ]
    assert {model.created for model in models} == {CREATED}


async def test_a_model_is_listed_with_its_kind_its_mode_and_its_languages(qwen_gateway: Gateway) -> None:
    model = (await qwen_gateway.http.get("/v1/models/qwen3-tts-1.7b-clone")).json()
    assert (model["kind"], model["mode"], model["languages"]) == ("speech", "voice_clone", ["zh", "en", "ko"])


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("kokoro-82m", "hexgrad"),
        ("tts-1", "hexgrad"),
        ("hexgrad/Kokoro-82M", "hexgrad"),
        ("whisper-1", "openai"),
    ],
)
async def test_a_model_is_found_by_id_and_by_alias(gateway: Gateway, name: str, owner: str) -> None:
    model = await gateway.openai.models.retrieve(name)
    assert (model.id, model.owned_by) == (name, owner)


async def test_the_language_model_is_listed_where_it_can_chat(serve: Serve, triton: FakeTriton) -> None:
    async with serve(llm_url="http://127.0.0.1:1/v1", llm_model="mine") as gateway:
        await gateway.follow(triton)
        models = (await gateway.http.get("/v1/models")).json()["data"]
        assert [model["id"] for model in models if model["kind"] == "chat"] == ["gpt-audio", "mine"]
        for name in ("gpt-audio-mini", "mine"):
            assert (await gateway.openai.models.retrieve(name)).id == name
    async with serve(llm_url="http://127.0.0.1:1/v1", llm_api="completions") as gateway:
        await gateway.follow(triton)
        assert len((await gateway.openai.models.list()).data) == 2
        with pytest.raises(openai.NotFoundError):
            await gateway.openai.models.retrieve("gpt-audio")


@pytest.mark.parametrize("name", ["qwen3-tts-0.6b", "hub/model"])
async def test_an_unknown_model_is_a_404_that_lists_the_chosen_ones(gateway: Gateway, name: str) -> None:
    with pytest.raises(openai.NotFoundError, match="kokoro-82m, whisper-base") as caught:
        await gateway.openai.models.retrieve(name)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_the_lists_follow_the_servers_choice_of_models(gateway: Gateway, triton: FakeTriton) -> None:
    del triton.handlers["kokoro-82m"]
    await gateway.follow(triton)
    assert [model.id for model in (await gateway.openai.models.list()).data] == ["whisper-base"]
    assert (await gateway.http.get("/v1/audio/models")).json() == {"models": []}
    assert (await gateway.http.get("/v1/audio/voices")).json()["voices"] == []


async def test_a_chosen_model_is_listed_while_it_is_unloaded(gateway: Gateway, triton: FakeTriton) -> None:
    triton.states["kokoro-82m"] = "unloaded"
    await gateway.follow(triton)
    assert [model.id for model in (await gateway.openai.models.list()).data] == ["kokoro-82m", "whisper-base"]
    assert len((await gateway.http.get("/v1/audio/voices")).json()["voices"]) == 4


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/tts-1", "/v1/audio/models", "/v1/audio/voices"])
async def test_a_list_before_any_server_was_reached_is_a_503(serve: Serve, path: str) -> None:
    async with serve(triton_grpc_url="127.0.0.1:1") as gateway:
        answer = await gateway.http.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_voices_of_a_model_before_its_first_load_are_a_503(gateway: Gateway, triton: FakeTriton) -> None:
    triton.states["kokoro-82m"], triton.overrides["kokoro-82m"] = "loading", {"description": None}
    await gateway.follow(triton)
    assert (await gateway.http.get("/v1/audio/voices?model=tts-1")).status_code == 503
    assert (await gateway.http.get("/v1/audio/voices")).json()["voices"] == []


async def test_the_speech_models_are_listed_for_open_webui(gateway: Gateway) -> None:
    assert (await gateway.http.get("/v1/audio/models")).json() == {"models": [{"id": "kokoro-82m"}]}


@pytest.mark.parametrize("query", ["", "?model=tts-1", "?model=kokoro-82m"])
async def test_the_models_own_voices_are_listed_for_open_webui(gateway: Gateway, query: str) -> None:
    answer = await gateway.http.get(f"/v1/audio/voices{query}")
    voices = answer.json()["voices"]
    assert voices[0] == {"id": "af_heart", "name": "Heart (English)", "language": "en"}
    assert [voice["id"] for voice in voices] == ["af_heart", "af_kore", "af_bella", "bf_emma"]


async def test_voices_of_one_name_differ_by_their_language(
    gateway: Gateway, kokoro: FakeSpeech, triton: FakeTriton
) -> None:
    voices = Voice("am_santa", "Santa", "en"), Voice("em_santa", "Santa", "es"), Voice("vivian", "Vivian")
    kokoro.description = replace(kokoro.description, voices=voices)
    await gateway.follow(triton)
    listed = (await gateway.http.get("/v1/audio/voices")).json()["voices"]
    assert [voice["name"] for voice in listed] == ["Santa (English)", "Santa (Spanish)", "Vivian"]
    assert [voice.get("language") for voice in listed] == ["en", "es", None]


async def test_voices_of_a_transcription_model_are_a_404(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/audio/voices?model=whisper-base")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")


async def test_query_parameters_without_effect_are_named(gateway: Gateway) -> None:
    assert "x-tritone-ignored" not in (await gateway.http.get("/v1/audio/voices?model=tts-1")).headers
    answer = await gateway.http.get("/v1/audio/voices?model=tts-1&legacy=true&a%0D%0Ab=1")
    assert (answer.status_code, answer.headers["x-tritone-ignored"]) == (200, "legacy, a%0D%0Ab")
    assert (await gateway.http.get("/v1/models?after=x")).headers["x-tritone-ignored"] == "after"


async def test_a_trailing_slash_lists_the_models_too(gateway: Gateway) -> None:
    assert (await gateway.http.get("/v1/models/")).json() == (await gateway.http.get("/v1/models")).json()


HEADED = ["/health", "/ready", "/metrics", "/openapi.json", "/v1/models", "/v1/models/kokoro", "/v1/audio/voices"]


@pytest.mark.parametrize("path", HEADED)
async def test_head_has_the_headers_of_get_and_no_body(gateway: Gateway, path: str) -> None:
    head, get = await gateway.http.head(path), await gateway.http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert (await gateway.http.get("/health")).json()["status"] == "ok", "the connection goes on"


async def test_head_is_not_allowed_where_get_is_not(gateway: Gateway) -> None:
    assert (await gateway.http.head("/v1/audio/speech")).status_code == 405
