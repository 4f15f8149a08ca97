"""Registered voices through the OpenAI SDK: consents, voices, and speech in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import websockets
from openai.types.audio import Voice

from tests.fake_triton import Call, FakeTriton
from tests.plain_http import NO_TLS
from tests.unit.gateway.conftest import QWEN, FakeSpeech, Gateway, tone
from tests.unit.gateway.recordings import encoded
from tests.unit.gateway.recordings import tone as sine
from tests.unit.gateway.voices.conftest import KEYS, WORDS, recording
from tritone.contract import SPEECH_RATE

CLONE = "qwen3-tts-0.6b-clone"
Calls = Callable[[], list[Call]]


async def consent(client: openai.AsyncOpenAI, name: str = "Anna's consent") -> str:
    made = await client.audio.voice_consents.create(name=name, language="en-US", recording=("me.wav", recording()))
    return made.id


async def register(client: openai.AsyncOpenAI, name: str = "Anna", file: bytes | None = None, **more: Any) -> Voice:
    sample = ("sample.wav", file or recording())
    agreed = await consent(client)
    return await client.audio.voices.create(name=name, audio_sample=sample, consent=agreed, **more)


def rest(gateway: Gateway, key: str = KEYS[0]) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=gateway.url, headers={"authorization": f"Bearer {key}"}, timeout=300, verify=NO_TLS
    )


async def test_a_recording_is_registered_and_spoken_by_name_and_by_id(
    one: openai.AsyncOpenAI, clone_calls: Calls
) -> None:
    voice = await register(one)
    assert (voice.object, voice.name, voice.type) == ("audio.voice", "Anna", "audio_sample")
    assert voice.model_extra is not None
    assert voice.model_extra["ref_text"] == WORDS
    assert voice.model_extra["duration"] == pytest.approx(2.4, abs=0.1)  # without the silence around it
    names: list[Any] = [{"id": voice.id}, voice.id, "anna"]
    for named in names:
        audio = await one.audio.speech.create(model=CLONE, voice=named, input="Hello.", response_format="wav")
        assert audio.content[:4] == b"RIFF"
    first = next(call for call in clone_calls() if "ref_audio" in call.inputs)
    assert first.parameters["ref_text"] == WORDS
    assert len(first.inputs["ref_audio"]) / SPEECH_RATE == pytest.approx(2.4, abs=0.1)
    assert {call.parameters["voice_key"] for call in clone_calls()} == {first.parameters["voice_key"]}


@pytest.mark.parametrize(
    ("model", "expected"),
    [("tts-1", "qwen3-tts-0.6b-clone"), ("tts-1-hd", "qwen3-tts-1.7b-clone"), (None, "qwen3-tts-0.6b-clone")],
)
async def test_an_alias_stands_for_a_model_that_clones(
    one: openai.AsyncOpenAI, voices_gateway: Gateway, model: str | None, expected: str
) -> None:
    await register(one)
    body = {"voice": "Anna", "input": "Hello.", **({"model": model} if model else {})}
    async with rest(voices_gateway) as client:
        answer = await client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tritone-model"] == expected
    assert "x-tritone-ignored" not in answer.headers


@pytest.mark.parametrize("model", ["qwen3-tts-0.6b", "qwen3-tts-1.7b-design"])
async def test_a_model_that_clones_no_voice_names_those_that_do(one: openai.AsyncOpenAI, model: str) -> None:
    voice = await register(one)
    with pytest.raises(openai.BadRequestError) as caught:
        await one.audio.speech.create(model=model, voice=voice.id, input="Hello.")
    assert caught.value.param == "voice"
    assert "qwen3-tts-0.6b-clone or qwen3-tts-1.7b-clone" in caught.value.message


async def test_a_voice_of_the_model_goes_before_a_registered_one(
    one: openai.AsyncOpenAI, voices_gateway: Gateway, triton: FakeTriton
) -> None:
    await register(one, "Hilde")
    described = QWEN["qwen3-tts-0.6b"]
    hilde = replace(described.voices[0], id="hilde")
    triton.handlers["qwen3-tts-0.6b"] = FakeSpeech(description=replace(described, voices=(*described.voices, hilde)))
    await voices_gateway.follow(triton)
    await one.audio.speech.create(model="qwen3-tts-0.6b", voice="Hilde", input="Hello.")
    assert (triton.calls[-1].model, triton.calls[-1].parameters["voice"]) == ("qwen3-tts-0.6b", "hilde")


async def test_no_key_sees_uses_or_deletes_the_voice_of_another(
    one: openai.AsyncOpenAI, two: openai.AsyncOpenAI, voices_gateway: Gateway
) -> None:
    voice = await register(one)
    agreed = await consent(one)
    with pytest.raises(openai.NotFoundError):
        await two.audio.speech.create(model=CLONE, voice=voice.id, input="Hello.")
    with pytest.raises(openai.BadRequestError):
        await two.audio.speech.create(model=CLONE, voice="Anna", input="Hello.")
    with pytest.raises(openai.NotFoundError):
        await two.audio.voices.delete(voice.id)
    for call in (two.audio.voice_consents.retrieve, two.audio.voice_consents.delete):
        with pytest.raises(openai.NotFoundError):
            await call(agreed)
    with pytest.raises(openai.BadRequestError, match="there is no consent"):
        await two.audio.voices.create(name="Anna", audio_sample=("a.wav", recording()), consent=agreed)
    async with rest(voices_gateway, KEYS[1]) as client:
        assert (await client.get("/v1/audio/voices")).json()["data"] == []
        for path in (f"/v1/audio/voices/{voice.id}", "/v1/audio/voices/Anna"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post(f"/v1/audio/voices/{voice.id}/preview")).status_code == 404
        assert (await client.get("/v1/audio/voice_consents")).json()["data"] == []
    assert (await register(two, "Anna")).id != voice.id


@pytest.mark.parametrize("options", [{"public_lists": True}])
async def test_a_public_list_has_no_registered_voices(one: openai.AsyncOpenAI, voices_gateway: Gateway) -> None:
    await register(one)
    listed = (await voices_gateway.http.get("/v1/audio/voices")).json()
    assert listed["data"] == []
    assert "vivian" in [each["id"] for each in listed["voices"]]


async def test_a_voice_is_listed_read_previewed_and_deleted(
    one: openai.AsyncOpenAI, voices_gateway: Gateway, triton: FakeTriton, tmp_path: Path
) -> None:
    voice = await register(one)
    async with rest(voices_gateway) as client:
        listed = (await client.get("/v1/audio/voices")).json()
        (found,) = listed["data"]
        assert found == (await client.get(f"/v1/audio/voices/{voice.id}")).json()
        assert found["id"] == voice.id
        assert {"id": voice.id, "name": "Anna", "language": "en"} in listed["voices"]
        of_clone = (await client.get("/v1/audio/voices", params={"model": CLONE})).json()
        assert [each["id"] for each in of_clone["voices"]] == [voice.id]
        of_other = (await client.get("/v1/audio/voices", params={"model": "qwen3-tts-0.6b"})).json()
        assert of_other["data"] == []
        preview = await client.post(f"/v1/audio/voices/{voice.id}/preview", json={"response_format": "wav"})
        assert (preview.status_code, preview.content[:4]) == (200, b"RIFF")
    deleted = await one.audio.voices.delete(voice.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (voice.id, True, "audio.voice.deleted")
    with pytest.raises(openai.NotFoundError):
        await one.audio.voices.delete(voice.id)
    with pytest.raises(openai.NotFoundError):
        await one.audio.speech.create(model=CLONE, voice=voice.id, input="Hello.")
    left = [path for path in (tmp_path / "voices").rglob("*") if path.is_file()]
    assert left
    assert all("consents" in path.parts or "recordings" in path.parts for path in left)


async def test_a_deleted_voice_is_forgotten_by_the_servers(
    one: openai.AsyncOpenAI, clone_calls: Calls, voices_gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[str] = []

    async def forget(key: str) -> dict[str, Exception]:
        forgotten.append(key)
        return {}

    monkeypatch.setattr(voices_gateway.services.triton, "forget_voice", forget)
    voice = await register(one)
    for more in ({}, {"x_vector_only": True}):
        await one.audio.speech.create(model=CLONE, voice=voice.id, input="Hello.", extra_body=more)
    used = {call.parameters["voice_key"] for call in clone_calls()}
    await one.audio.voices.delete(voice.id)
    assert len(used) == 2
    assert set(forgotten) == used


async def test_a_name_is_unique_and_free_again_after_the_deletion(one: openai.AsyncOpenAI) -> None:
    voice = await register(one)
    with pytest.raises(openai.ConflictError) as caught:
        await register(one, "ANNA")
    assert caught.value.param == "name"
    await one.audio.voices.delete(voice.id)
    assert (await register(one, "ANNA")).id != voice.id


@pytest.mark.parametrize("name", ["", " ", "x" * 129, "a\nb", "voice_1", "Vivian", "alloy"])
async def test_a_name_that_cannot_be_one_is_rejected(one: openai.AsyncOpenAI, name: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await register(one, name)
    assert caught.value.param == "name"


@pytest.mark.parametrize("options", [{"max_voices": 1}])
async def test_a_key_has_a_limit_of_voices(one: openai.AsyncOpenAI, two: openai.AsyncOpenAI) -> None:
    await register(one)
    with pytest.raises(openai.ConflictError, match="MAX_VOICES"):
        await register(one, "Ben")
    await register(two)


async def test_a_voice_needs_a_consent(one: openai.AsyncOpenAI, voices_gateway: Gateway) -> None:
    async with rest(voices_gateway) as client:
        answer = await client.post("/v1/audio/voices", data={"name": "Anna"}, files={"audio_sample": recording()})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "consent")
    assert "/v1/audio/voice_consents" in answer.json()["error"]["message"]
    with pytest.raises(openai.BadRequestError, match="there is no consent"):
        await one.audio.voices.create(name="Anna", audio_sample=("a.wav", recording()), consent="cons_1234")


@pytest.mark.parametrize("options", [{"voices_need_consent": False}])
async def test_consents_may_be_switched_off(voices_gateway: Gateway) -> None:
    async with rest(voices_gateway) as client:
        fields = {"name": "Anna", "ref_text": "A tone.", "colour": "red"}
        answer = await client.post("/v1/audio/voices", data=fields, files={"audio_sample": recording()})
    assert (answer.status_code, answer.json()["ref_text"]) == (200, "A tone.")
    assert answer.headers["x-tritone-ignored"] == "colour"
    assert "consent" not in answer.json()


async def test_consents_are_listed_in_pages_renamed_and_deleted(one: openai.AsyncOpenAI) -> None:
    ids = [await consent(one, f"consent {number}") for number in range(3)]
    page = await one.audio.voice_consents.list(limit=2)
    assert [each.id async for each in page] == ids  # the SDK asks for the second page
    assert page.has_more
    renamed = await one.audio.voice_consents.update(ids[0], name="Another")
    assert renamed == await one.audio.voice_consents.retrieve(ids[0])
    assert (renamed.name, renamed.language, renamed.object) == ("Another", "en-US", "audio.voice_consent")
    deleted = await one.audio.voice_consents.delete(ids[0])
    assert (deleted.id, deleted.deleted, deleted.object) == (ids[0], True, "audio.voice_consent")
    with pytest.raises(openai.NotFoundError):
        await one.audio.voice_consents.retrieve(ids[0])


async def test_a_consent_stays_as_long_as_a_voice_needs_it(one: openai.AsyncOpenAI) -> None:
    voice = await register(one)
    assert voice.model_extra is not None
    agreed = voice.model_extra["consent"]
    with pytest.raises(openai.ConflictError, match=voice.id):
        await one.audio.voice_consents.delete(agreed)
    await one.audio.voices.delete(voice.id)
    await one.audio.voice_consents.delete(agreed)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"no audio at all", "could not be decoded"),
        (recording(0.3), "0.3 s of speech are in it"),
        (recording(31.0), "31.4 s long without the silence"),
        (encoded(np.zeros(2 * SPEECH_RATE, np.float32), "wav", "pcm_s16le", SPEECH_RATE), "it is silent"),
        (encoded(np.sign(sine(2.0, SPEECH_RATE)), "wav", "pcm_s16le", SPEECH_RATE), "of it is clipped"),
        (b"x" * (10 * 2**20 + 1), "holds 10485761 bytes; at most 10485760"),
    ],
    ids=["no-audio", "short", "long", "silent", "clipped", "large"],
)
async def test_a_bad_recording_is_rejected_with_the_reason(one: openai.AsyncOpenAI, file: bytes, reason: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await register(one, file=file)
    assert caught.value.param == "audio_sample"
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("container", "codec"), [("webm", "libopus"), ("mp4", "aac"), ("ogg", "libopus"), ("mp3", "libmp3lame")]
)
async def test_a_recording_may_be_in_a_browsers_containers(one: openai.AsyncOpenAI, container: str, codec: str) -> None:
    made = encoded(sine(2.0, 48_000), container, codec, 48_000)
    assert (await register(one, file=made)).id.startswith("voice_")


@pytest.mark.parametrize("options", [{"voices_need_consent": False}])
async def test_the_words_are_needed_where_no_model_transcribes(
    one: openai.AsyncOpenAI, voices_gateway: Gateway, triton: FakeTriton, clone_calls: Calls
) -> None:
    del triton.handlers["whisper-base"]
    await voices_gateway.follow(triton)
    async with rest(voices_gateway) as client:

        async def post(**more: str) -> httpx.Response:
            return await client.post(
                "/v1/audio/voices", data={"name": "Anna", **more}, files={"audio_sample": recording()}
            )

        answer = await post()
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "ref_text")
        assert "ref_text" not in (await post(x_vector_only="true")).json()
    await one.audio.speech.create(model=CLONE, voice="Anna", input="Hello.")
    assert clone_calls()[-1].parameters["x_vector_only"] is True


async def test_a_voice_is_designed_from_text_and_speaks_again(
    one: openai.AsyncOpenAI, voices_gateway: Gateway, triton: FakeTriton, clone_calls: Calls
) -> None:
    triton.handlers["qwen3-tts-1.7b-design"] = FakeSpeech([tone(2.0)], description=QWEN["qwen3-tts-1.7b-design"])
    voice = await one.audio.voices.create(type="prompt", name="Calm", prompt="A calm voice.", script_hint="Good day.")
    assert (voice.type, voice.prompt) == ("prompt", "A calm voice.")
    (call,) = [call for call in triton.calls if call.model == "qwen3-tts-1.7b-design"]
    assert call.parameters["instruct"] == "A calm voice."
    assert call.inputs["text"].item() == b"Good day."
    await one.audio.speech.create(model="tts-1-hd", voice={"id": voice.id}, input="Hello.")
    spoken = clone_calls()[-1]
    assert spoken.parameters["ref_text"] == "Good day."
    assert len(spoken.inputs["ref_audio"]) == 2 * SPEECH_RATE
    async with rest(voices_gateway) as client:
        as_json = {"type": "prompt", "name": "Loud", "prompt": "A loud voice."}
        assert (await client.post("/v1/audio/voices", json=as_json)).json()["name"] == "Loud"


async def test_a_designed_voice_that_is_not_usable_is_rejected(one: openai.AsyncOpenAI, triton: FakeTriton) -> None:
    described = QWEN["qwen3-tts-1.7b-design"]
    triton.handlers["qwen3-tts-1.7b-design"] = FakeSpeech([tone(0.4)], description=described)
    with pytest.raises(openai.BadRequestError, match=r"0\.4 s of speech"):
        await one.audio.voices.create(type="prompt", name="Calm", prompt="A calm voice.")


async def test_a_design_needs_a_model_for_it(
    one: openai.AsyncOpenAI, voices_gateway: Gateway, triton: FakeTriton
) -> None:
    with pytest.raises(openai.NotFoundError, match="choose from: qwen3-tts"):
        await one.audio.voices.create(type="prompt", name="Calm", prompt="A calm voice.", model="qwen3-tts-0.6b")
    del triton.handlers["qwen3-tts-1.7b-design"]
    await voices_gateway.follow(triton)
    with pytest.raises(openai.BadRequestError) as caught:
        await one.audio.voices.create(type="prompt", name="Calm", prompt="A calm voice.")
    assert caught.value.param == "type"


@pytest.mark.parametrize(
    "fields", [{"name": "Anna"}, {"name": "Anna", "type": "prompt"}, {"name": "Anna", "type": "other", "prompt": "x"}]
)
async def test_a_form_that_lacks_its_voice_is_rejected(voices_gateway: Gateway, fields: dict[str, str]) -> None:
    async with rest(voices_gateway) as client:
        answer = await client.post("/v1/audio/voices", files={name: (None, text) for name, text in fields.items()})
        assert answer.status_code == 400, answer.text
        as_json = await client.post("/v1/audio/voices", json=fields)
        assert as_json.status_code == 400, as_json.text


async def test_a_store_out_of_reach_is_no_fault_of_the_client(voices_gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "owners").write_text("no folder")
    async with rest(voices_gateway) as client:
        answer = await client.get("/v1/audio/voices")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert json.dumps(str(tmp_path)) not in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/audio/speech/batch", {"items": [{"input": "Hello."}], "voice": "Anna", "model": "tts-1"}),
        ("/tts", {"text": "Hello.", "voice": "Anna"}),
        ("/invocations", {"input": "Hello.", "voice": "Anna", "model": "tts-1"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_other_routes_speak_in_a_registered_voice_too(
    one: openai.AsyncOpenAI, voices_gateway: Gateway, clone_calls: Calls, path: str, body: dict[str, Any]
) -> None:
    await register(one)
    async with rest(voices_gateway) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    (call,) = [call for call in clone_calls() if "ref_audio" in call.inputs]
    assert call.parameters["ref_text"] == WORDS


async def test_a_text_is_spoken_in_a_registered_voice_as_it_is_written(
    one: openai.AsyncOpenAI, voices_gateway: Gateway, clone_calls: Calls
) -> None:
    await register(one)
    url = voices_gateway.url.replace("http", "ws", 1) + "/v1/audio/speech/stream"
    for key, heard in zip(KEYS, (True, False), strict=True):
        headers = {"authorization": f"Bearer {key}"}
        async with websockets.connect(url, additional_headers=headers, proxy=None, open_timeout=300) as socket:
            for message in (
                {"type": "session.config", "model": CLONE, "voice": "anna", "stream_audio": True},
                {"type": "input.text", "text": "One sentence. And another."},
                {"type": "session.close"},
            ):
                await socket.send(json.dumps(message))
            messages = [message async for message in socket]
        assert any(isinstance(message, bytes) for message in messages) == heard
    assert {call.parameters["ref_text"] for call in clone_calls() if "ref_audio" in call.inputs} == {WORDS}


async def test_a_dialogue_of_registered_voices_is_spoken_by_a_clone_model(
    one: openai.AsyncOpenAI, two: openai.AsyncOpenAI, clone_calls: Calls
) -> None:
    names = ["Anna", "Ben"]
    for name, hertz in zip(names, (440.0, 330.0), strict=True):
        await register(one, name, recording(hertz=hertz))
    body = {"allow_voice_tags": True, "stream": False}
    text = "Hello. [voice:Anna] Hi, Ben. [pause 200ms] [voice:Ben] Hi, Anna."
    await one.audio.speech.create(model="tts-1", voice="alloy", input=text, extra_body=body)
    keys = {call.inputs["text"].item().decode(): call.parameters["voice_key"] for call in clone_calls()}
    assert list(keys) == ["Hi, Ben.", "Hi, Anna."]
    assert len(set(keys.values())) == 2
    with pytest.raises(openai.BadRequestError, match="the voice tag at character 8"):
        await two.audio.speech.create(model="tts-1", voice="alloy", input=text, extra_body=body)
