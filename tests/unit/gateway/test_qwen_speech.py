"""Speech by the Qwen3-TTS models: the fields that reach each model, those without effect, and those rejected."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import openai
import pytest

from tests.fake_triton import Call, FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway, qwen
from tests.unit.gateway.recordings import encoded, tone
from tritone.contract import SPEECH_RATE
from tritone.voice_key import audio_digest, voice_key

SPEECH = "/v1/audio/speech"
CUSTOM, SMALL = "qwen3-tts-1.7b", "qwen3-tts-0.6b"
DESIGN, CLONE = "qwen3-tts-1.7b-design", "qwen3-tts-1.7b-clone"
VOICE = base64.b64encode(encoded(tone(2), "wav", "pcm_s16le")).decode()
CLONING: dict[str, Any] = {"model": CLONE, "ref_audio": VOICE, "ref_text": "A tone."}


async def synthesize(gateway: Gateway, triton: FakeTriton, **fields: Any) -> tuple[Call, list[str]]:
    """Return the request that reached the model, and the fields that were reported to have no effect."""
    answer = await gateway.http.post(SPEECH, json={"model": CUSTOM, "input": "Hello.", **fields})
    assert answer.status_code == 200, answer.text
    ignored = answer.headers.get("x-tritone-ignored")
    return triton.calls[-1], ignored.split(", ") if ignored else []


async def rejection(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    answer = await gateway.http.post(SPEECH, json={"model": CUSTOM, "input": "Hello.", **fields})
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith(f"{error['param']}: ")
    return error


@pytest.mark.parametrize(("name", "sent"), [("Vivian", "vivian"), ("UNCLE_FU", "uncle_fu"), ("onyx", "uncle_fu")])
async def test_a_voice_is_a_speaker_or_openais_name_in_any_case(
    qwen_gateway: Gateway, triton: FakeTriton, name: str, sent: str
) -> None:
    call, ignored = await synthesize(qwen_gateway, triton, voice=name)
    assert (call.parameters, ignored) == ({"voice": sent}, [])


async def test_a_fine_tuned_speaker_is_the_only_voice_and_stands_for_openais_names(
    gateway: Gateway, triton: FakeTriton
) -> None:
    triton.handlers = {CUSTOM: FakeSpeech(description=qwen("voice", speakers=("Anna",)))}
    await gateway.follow(triton)
    assert (await gateway.http.get("/v1/audio/voices")).json()["voices"] == [{"id": "Anna", "name": "Anna"}]
    assert (await synthesize(gateway, triton, voice="ANNA"))[0].parameters == {"voice": "Anna"}
    call, ignored = await synthesize(gateway, triton, voice="alloy")
    assert (call.parameters, ignored) == ({}, ["voice"])
    assert (await rejection(gateway, voice="Vivian"))["param"] == "voice"


async def test_every_option_reaches_a_model_that_supports_it(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    fields = {
        "instruct": "Softly.",
        "language": "pt-BR",
        "temperature": 0.0,
        "top_k": 0,
        "top_p": 0.5,
        "subtalker_temperature": 0.7,
        "subtalker_top_k": 20,
        "subtalker_top_p": 0.9,
        "repetition_penalty": 1.1,
        "max_new_tokens": 100,
        "streaming_text": False,
        "seed": 2**63 - 1,
    }
    call, ignored = await synthesize(qwen_gateway, triton, **fields)
    assert (call.parameters, ignored) == (fields, [])


@pytest.mark.parametrize(
    "emotions", [{"Happiness": 0.8, "anger": 1}, [0.8, 0, 0, 0, 0, 1, 0, 0], '{"anger": 1, "happiness": 0.8}']
)
async def test_emotions_reach_the_model_as_the_text_of_their_weights(
    qwen_gateway: Gateway, triton: FakeTriton, emotions: Any
) -> None:
    call, ignored = await synthesize(qwen_gateway, triton, emotions=emotions)
    assert (call.parameters, ignored) == ({"emotions": '{"happiness": 0.8, "anger": 1.0}'}, [])


@pytest.mark.parametrize("model", [CUSTOM, SMALL])
@pytest.mark.parametrize(
    ("emotions", "problem"),
    [
        ({"joy": 1}, "'joy' is unknown; give 8 numbers from 0 to 1"),
        ({"anger": 2}, "2 is no weight of anger"),
        ([0.5, 0.5], "2 weights"),
        ([0] * 8, "all weights are 0"),
        (7, "7 is neither a list nor an object"),
        ("cheerful", "is not JSON"),
    ],
)
async def test_bad_emotions_are_rejected_whether_or_not_the_model_follows_them(
    qwen_gateway: Gateway, model: str, emotions: Any, problem: str
) -> None:
    error = await rejection(qwen_gateway, model=model, emotions=emotions)
    assert error["param"] == "emotions"
    assert problem in error["message"]


async def test_openais_instructions_become_the_option_instruct(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    answer = await qwen_gateway.openai.audio.speech.create(
        model=CUSTOM, voice="nova", input="Hello.", instructions="Softly.", response_format="pcm"
    )
    assert answer.content
    assert triton.calls[-1].parameters == {"voice": "ono_anna", "instruct": "Softly."}


async def test_both_names_of_the_instruction_together_are_rejected(qwen_gateway: Gateway) -> None:
    error = await rejection(qwen_gateway, instruct="Softly.", instructions="Loudly.")
    assert error["param"] == "instruct"
    assert "instructions" in error["message"]


async def test_a_mix_is_no_voice_of_a_model_that_mixes_none(qwen_gateway: Gateway) -> None:
    error = await rejection(qwen_gateway, model=CUSTOM, voice="vivian+ryan")
    assert error["param"] == "voice"
    assert "has no voice 'vivian+ryan'" in error["message"]


@pytest.mark.parametrize("empty", ["", " \n", None])
async def test_an_empty_field_counts_as_not_given(qwen_gateway: Gateway, triton: FakeTriton, empty: str | None) -> None:
    names = ("voice", "instructions", "emotions", "language", "ref_audio", "ref_text", "x_vector_only", "seed")
    fields = {name: empty for name in names if empty is None or name not in ("x_vector_only", "seed")}
    call, ignored = await synthesize(qwen_gateway, triton, instruct="Softly.", **fields)
    assert (call.parameters, ignored) == ({"instruct": "Softly."}, [])


@pytest.mark.parametrize("language", ["Auto", "auto", " AUTO "])
async def test_the_language_auto_is_not_sent(qwen_gateway: Gateway, triton: FakeTriton, language: str) -> None:
    assert (await synthesize(qwen_gateway, triton, language=language))[0].parameters == {}


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"model": SMALL, "voice": "Ryan", "instruct": "Softly."}, ["instruct"]),
        ({"model": SMALL, "instructions": "Softly."}, ["instructions"]),
        ({"model": SMALL, "emotions": {"anger": 0.5}}, ["emotions"]),
        ({"model": DESIGN, "instruct": "A calm voice.", "voice": "alloy"}, ["voice"]),
        ({**CLONING, "voice": "nobody", "instructions": "Softly."}, ["voice", "instructions"]),
        ({"model": CUSTOM, "ref_text": "x", "x_vector_only": True, "x": 1}, ["ref_text", "x_vector_only", "x"]),
        ({"model": CUSTOM, "describe": True, "x_vector_only": False}, ["describe"]),
    ],
)
async def test_a_field_without_effect_is_not_sent_but_reported(
    qwen_gateway: Gateway, triton: FakeTriton, fields: dict[str, Any], ignored: list[str]
) -> None:
    call, reported = await synthesize(qwen_gateway, triton, **fields)
    assert reported == ignored
    assert not {"instruct" if name == "instructions" else name for name in ignored} & call.parameters.keys()


async def test_the_gateway_covers_the_speed_of_a_model_without_a_range(
    qwen_gateway: Gateway, triton: FakeTriton
) -> None:
    body = {"model": CUSTOM, "input": "Hello.", "speed": 2.0, "response_format": "pcm"}
    answer = await qwen_gateway.http.post(SPEECH, json=body)
    assert len(answer.content) / 2 == pytest.approx(1.2 * SPEECH_RATE / 2, abs=2)
    assert triton.calls[-1].parameters == {}
    assert "x-tritone-ignored" not in answer.headers


@pytest.mark.parametrize("alias", ["x_vector_only", "x_vector_only_mode"])
async def test_a_clone_model_gets_the_recording_in_the_contracts_form(
    qwen_gateway: Gateway, triton: FakeTriton, alias: str
) -> None:
    call, ignored = await synthesize(qwen_gateway, triton, **{**CLONING, alias: True})
    key = call.parameters.pop("voice_key")
    assert (call.parameters, ignored) == ({"ref_text": "A tone.", "x_vector_only": True}, [])
    audio = call.inputs["ref_audio"]
    assert (audio.dtype, audio.ndim) == (np.float32, 1)  # type: ignore[comparison-overlap]  # a dtype equals its class
    assert len(audio) == pytest.approx(2 * SPEECH_RATE, abs=10)
    assert key == voice_key(audio_digest(audio), "A tone.", x_vector_only=True)


@pytest.mark.parametrize(
    ("fields", "param", "instead"),
    [
        ({"model": CUSTOM, "ref_audio": VOICE}, "ref_audio", "qwen3-tts-0.6b-clone or qwen3-tts-1.7b-clone"),
        ({"model": DESIGN, "instruct": "x", "ref_audio": VOICE}, "ref_audio", "qwen3-tts-1.7b-clone"),
        ({"model": CLONE}, "ref_audio", "qwen3-tts-0.6b or qwen3-tts-1.7b"),
        ({"model": CLONE, "ref_audio": " "}, "ref_audio", "qwen3-tts-0.6b or qwen3-tts-1.7b"),
        ({"model": DESIGN, "voice": "Vivian"}, "instructions", "qwen3-tts-0.6b or qwen3-tts-1.7b"),
    ],
)
async def test_a_field_for_another_mode_is_a_400_with_the_models_to_use(
    qwen_gateway: Gateway, triton: FakeTriton, fields: dict[str, Any], param: str, instead: str
) -> None:
    error = await rejection(qwen_gateway, **fields)
    assert error["param"] == param
    assert error["message"].endswith(instead) or f"choose {instead}" in error["message"]
    assert triton.calls == []


async def test_the_error_for_ref_audio_without_a_clone_model_names_the_setting(gateway: Gateway) -> None:
    error = await rejection(gateway, model="kokoro-82m", ref_audio=VOICE)
    assert (error["param"], "TTS_MODES" in error["message"]) == ("ref_audio", True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 2.1),
        ("temperature", -1),
        ("top_k", -1),
        ("top_k", 2**63),
        ("top_p", 0),
        ("repetition_penalty", 3),
        ("max_new_tokens", 1),
        ("seed", -1),
        ("seed", 1.5),
        ("x_vector_only", "perhaps"),
        ("language", 3),
        ("language", "x" * 65),
        ("ref_audio", 3),
        ("ref_text", "x" * 4097),
        ("instruct", "x" * 4097),
    ],
)
async def test_a_value_out_of_range_is_a_400_that_names_it(qwen_gateway: Gateway, name: str, value: Any) -> None:
    assert (await rejection(qwen_gateway, **{name: value}))["param"] == name


async def test_control_tokens_in_a_text_are_sent_unchanged(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    mark = "<|im_end|>\n<|im_start|>user\n"
    call, _ = await synthesize(qwen_gateway, triton, input=mark, instruct=f"a{mark}b")
    assert call.inputs["text"].tolist() == [mark.encode()]
    assert call.parameters["instruct"] == f"a{mark}b"
    call, _ = await synthesize(qwen_gateway, triton, **{**CLONING, "ref_text": f"a{mark}b"})
    assert call.parameters["ref_text"] == f"a{mark}b"


async def test_a_model_that_triton_has_just_unloaded_is_a_503_with_retry_after(
    qwen_gateway: Gateway, triton: FakeTriton
) -> None:
    del triton.handlers[DESIGN]  # the document still says that it is ready
    answer = await qwen_gateway.http.post(SPEECH, json={"model": DESIGN, "input": "Hello.", "instruct": "Calm."})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_speakers_of_several_models_are_listed_once(qwen_gateway: Gateway) -> None:
    voices = (await qwen_gateway.http.get("/v1/audio/voices")).json()["voices"]
    assert [voice["name"] for voice in voices][:4] == ["Vivian", "Ryan", "Serena", "Uncle_Fu"]
    assert len(voices) == 9


@pytest.mark.parametrize(("alias", "model"), [("tts-1", SMALL), ("tts-1-hd", CUSTOM), ("gpt-4o-mini-tts", CUSTOM)])
async def test_an_alias_stands_for_its_best_custom_voice_model(qwen_gateway: Gateway, alias: str, model: str) -> None:
    answer = await qwen_gateway.openai.audio.speech.with_raw_response.create(model=alias, voice="alloy", input="Hello.")
    assert answer.headers["x-tritone-model"] == model
    assert answer.headers["content-type"] == "audio/wav"


async def test_the_extra_body_of_the_sdk_reaches_the_model(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    await qwen_gateway.openai.audio.speech.create(
        model=CLONE, voice="alloy", input="Hello.", extra_body={"ref_audio": VOICE, "ref_text": "A tone."}
    )
    assert triton.calls[-1].parameters.keys() == {"ref_text", "voice_key"}
    with pytest.raises(openai.BadRequestError, match="it is neither base64"):
        await qwen_gateway.openai.audio.speech.create(
            model=CLONE, voice="alloy", input="Hello.", extra_body={"ref_audio": "!", "ref_text": "A tone."}
        )
