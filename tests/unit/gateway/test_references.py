"""The recordings of cloned voices: each travels once to a model, and is sent again where the model does not hold it."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest

from gateway.audio.frames import Pcm
from gateway.core.errors import VoiceNotHeld
from gateway.core.known_voices import KnownVoices
from gateway.core.references import Reference, forget_voice
from gateway.core.references import clone as clone_voice
from gateway.core.wire import Tensors
from tests.fake_triton import Call, FakeTriton
from tests.unit.gateway.conftest import QWEN, FakeSpeech, Gateway, Serve
from tests.unit.gateway.recordings import encoded, tone
from tritone.errors import UnknownVoice
from tritone.options import Value

CLONE = "qwen3-tts-1.7b-clone"


def recording(seconds: float) -> str:
    return base64.b64encode(encoded(tone(seconds), "wav", "pcm_s16le")).decode()


async def clone(gateway: Gateway, ref_audio: str, text: str = "A tone.") -> bytes:
    body = {"model": CLONE, "input": "Hello.", "ref_audio": ref_audio, "ref_text": text, "response_format": "pcm"}
    answer = await gateway.http.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    return answer.content


def sent(call: Call) -> set[str]:
    return call.inputs.keys() - {"text"} | call.parameters.keys()


async def test_recording_that_comes_again_is_not_sent_again(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    voice = recording(1.1)
    first, second = await clone(qwen_gateway, voice), await clone(qwen_gateway, voice)
    assert [sent(call) for call in triton.calls] == [{"ref_audio", "ref_text", "voice_key"}, {"voice_key"}]
    assert triton.calls[0].parameters["voice_key"] == triton.calls[1].parameters["voice_key"]
    assert first == second != b""


async def test_recording_is_sent_once_more_to_a_model_that_lost_the_voice(
    qwen_gateway: Gateway, triton: FakeTriton
) -> None:
    voice = recording(1.2)
    expected = await clone(qwen_gateway, voice)
    model = triton.handlers[CLONE]
    assert isinstance(model, FakeSpeech)
    model.voices.clear()
    triton.calls.clear()
    assert await clone(qwen_gateway, voice) == expected
    assert [sent(call) for call in triton.calls] == [{"voice_key"}, {"ref_audio", "ref_text", "voice_key"}]
    assert triton.calls[1].request_id == triton.calls[0].request_id


async def test_model_that_never_holds_a_voice_is_a_fault_of_the_server(
    qwen_gateway: Gateway, triton: FakeTriton
) -> None:
    triton.handlers[CLONE] = FakeSpeech(description=QWEN[CLONE], chunks=[], failure=UnknownVoice("never"))
    body = {"model": CLONE, "input": "Hello.", "ref_audio": recording(1.3), "ref_text": "A tone."}
    answer = await qwen_gateway.http.post("/v1/audio/speech", json=body)
    assert (answer.status_code, len(triton.calls)) == (500, 1)


async def test_other_words_or_another_recording_is_another_voice(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    voices = [(recording(1.4), "A tone."), (recording(1.4), "A sound."), (recording(1.5), "A tone.")]
    for voice, text in voices:
        await clone(qwen_gateway, voice, text)
    held = [call.parameters["voice_key"] for call in triton.calls if "ref_audio" in call.inputs]
    assert len(set(held)) == len(held) == 3


async def test_model_without_voice_keys_gets_every_recording(qwen_gateway: Gateway, triton: FakeTriton) -> None:
    options = tuple(name for name in QWEN[CLONE].options if name != "voice_key")
    triton.handlers[CLONE] = FakeSpeech(description=replace(QWEN[CLONE], options=options))
    await qwen_gateway.follow(triton)
    for _ in range(2):
        await clone(qwen_gateway, recording(1.6))
    assert [sent(call) for call in triton.calls] == [{"ref_audio", "ref_text"}] * 2


async def test_every_server_gets_the_recording_and_forgets_the_voice(serve: Serve) -> None:
    async with AsyncExitStack() as stack:
        models = [FakeSpeech(description=QWEN[CLONE]) for _ in range(2)]
        tritons = [await stack.enter_async_context(FakeTriton({CLONE: model})) for model in models]
        gateway = await stack.enter_async_context(serve(triton_grpc_url=[triton.address for triton in tritons]))
        await gateway.follow(*tritons)
        for _ in range(12):  # equally loaded servers take turns
            await clone(gateway, recording(1.7))
        (key,) = {call.parameters["voice_key"] for triton in tritons for call in triton.calls}
        assert [model.voices for model in models] == [{key}, {key}]
        for triton in tritons:
            triton.calls.clear()
        for _ in range(10):
            await clone(gateway, recording(1.7))
        assert [sent(call) for triton in tritons for call in triton.calls[-2:]] == [{"voice_key"}] * 4

        assert await forget_voice(gateway.services, key)
        assert [triton.forgotten for triton in tritons] == [[key], [key]]
        await tritons[1].stop()
        assert not await forget_voice(gateway.services, key)
        assert tritons[0].forgotten == [key, key]


@pytest.mark.parametrize("instances", [1, 2, 3, 4, 8])
async def test_all_instances_get_the_recording_when_they_take_turns(instances: int) -> None:
    known, held, turns = KnownVoices(), [False] * instances, cycle(range(instances))
    recordings = 0

    async def send(inputs: Tensors, parameters: Mapping[str, Value], seconds: float) -> AsyncGenerator[Tensors]:
        nonlocal recordings
        instance = next(turns)
        if "ref_audio" in inputs:
            held[instance] = True
            recordings += 1
        elif not held[instance]:
            raise VoiceNotHeld("unknown_voice")
        yield {}

    async def load() -> Pcm:
        return np.zeros(1, np.float32)

    reference = Reference("ab" * 32, {}, load)
    for _ in range(30 * instances):
        assert [tensors async for tensors in clone_voice(known, send, reference, 60, by_key=True)] == [{}]
    assert all(held)
    recordings = 0
    for _ in range(instances):
        assert [tensors async for tensors in clone_voice(known, send, reference, 60, by_key=True)] == [{}]
    assert recordings == 0


def test_recordings_that_came_last_are_known() -> None:
    known = KnownVoices(most=2)
    known.add(b"1", b"a")
    known.add(b"2", b"b")
    assert known.digest(b"1") == b"a"
    known.add(b"3", b"c")
    assert [known.digest(file) for file in (b"1", b"2", b"3")] == [b"a", None, b"c"]


@pytest.mark.parametrize("name", ["voice_key", "describe"])
async def test_key_is_no_field_of_the_http_api(qwen_gateway: Gateway, name: str) -> None:
    body = {"model": "qwen3-tts-1.7b", "input": "Hello.", name: "ab" * 32}
    answer = await qwen_gateway.http.post("/v1/audio/speech", json=body)
    assert (answer.status_code, answer.headers["x-tritone-ignored"]) == (200, name)
