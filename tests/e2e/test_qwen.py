"""The five Qwen3-TTS models in a real Triton, on checkpoints with random weights in the published layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import triton_to_np_dtype

from tests.e2e.server import Server
from tritone.contract import SPEECH_RATE, SpeechDescription
from tritone.voice_key import audio_digest, voice_key

DEADLINE = 300
TEXT = "The harbour was quiet."
REFERENCE = (0.2 * np.sin(np.arange(2 * SPEECH_RATE) * 0.04)).astype(np.float32)
PARAMETERS: dict[str, dict[str, Any]] = {
    "qwen3-tts-0.6b": {"voice": "Vivian", "language": "Korean"},
    "qwen3-tts-1.7b": {"voice": "uncle_fu", "instruct": "Whisper it.", "emotions": '{"fear": 0.5}'},
    "qwen3-tts-1.7b-design": {"instruct": "A calm, low voice."},
    "qwen3-tts-0.6b-clone": {"ref_audio": REFERENCE, "ref_text": "Some words."},
    "qwen3-tts-1.7b-clone": {"ref_audio": REFERENCE, "x_vector_only": True},
}
"""Options that each model supports."""


class RejectedError(Exception):
    """An error response."""


@dataclass
class Answer:
    """The responses of one request."""

    audio: np.ndarray
    pieces: int
    last: dict[str, Any]


Synthesize = Callable[..., Answer]


@pytest.fixture(scope="module")
def stub(qwen: Server) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(qwen.grpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def synthesize(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> Synthesize:
    """A function that sends a request and reads all responses."""

    def synthesize(model: str, text: str = TEXT, **parameters: Any) -> Answer:
        audio, last = [], {}
        for outputs in read(stub.ModelStreamInfer(iter([request_for(model, text, **parameters)]), timeout=DEADLINE)):
            last = outputs
            audio.append(outputs.get("audio", np.empty(0, np.int16)))
        return Answer(np.concatenate(audio), sum(piece.size > 0 for piece in audio), last)

    return synthesize


def request_for(model: str, text: str = TEXT, ref_audio: np.ndarray | None = None, **parameters: Any) -> Any:
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="text", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(len(text.encode()).to_bytes(4, "little") + text.encode())
    if ref_audio is not None:
        request.inputs.add(name="ref_audio", datatype="FP32", shape=[ref_audio.size])
        request.raw_input_contents.append(ref_audio.astype("<f4").tobytes())
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    for name, value in parameters.items():
        setattr(request.parameters[name], kinds[type(value)], value)
    return request


def read(stream: Any) -> Iterator[dict[str, Any]]:
    """Yield the outputs of each response; raises `RejectedError` after the end of a stream with an error.

    Streams are read to the end: Triton 2.51 never unloads a model with an unfinished stream.
    """
    error = ""
    for message in stream:
        error = error or message.error_message
        response = message.infer_response
        if response.outputs:
            yield {
                tensor.name: raw[4:].decode()
                if tensor.datatype == "BYTES"
                else np.frombuffer(raw, triton_to_np_dtype(tensor.datatype))
                for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True)
            }
    if error:
        raise RejectedError(error)


@pytest.mark.parametrize("model", PARAMETERS)
def test_model_synthesizes_speech(synthesize: Synthesize, model: str) -> None:
    answer = synthesize(model, **PARAMETERS[model], max_new_tokens=20)
    assert answer.last["finish_reason"] in ("stop", "length")
    assert answer.audio.size == answer.last["audio_frames"][0] * 1920 > 0
    assert np.abs(answer.audio).max() > 300
    assert answer.last["text_tokens"][0] > 0


@pytest.mark.parametrize("model", PARAMETERS)
def test_model_describes_itself_without_a_reference(synthesize: Synthesize, model: str) -> None:
    description = SpeechDescription.from_json(synthesize(model, describe=True).last["description"])
    assert set(PARAMETERS[model]) - {"ref_audio"} <= set(description.options)
    assert bool(description.voices) == ("voice" in description.options)
    assert {"zh", "ko", "en"} <= set(description.languages)


def test_same_seed_gives_the_same_audio(synthesize: Synthesize) -> None:
    one, same, other = (synthesize("qwen3-tts-0.6b", seed=seed, max_new_tokens=16).audio for seed in (7, 7, 8))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_voice_is_named_by_its_key_until_it_is_forgotten(
    synthesize: Synthesize, stub: service_pb2_grpc.GRPCInferenceServiceStub
) -> None:
    model, reference, settings = "qwen3-tts-0.6b-clone", REFERENCE[1:], {"seed": 3, "max_new_tokens": 8}
    key = voice_key(audio_digest(reference), "Some words.", x_vector_only=False)
    for _ in range(2):
        with pytest.raises(RejectedError, match=r"^unknown_voice: "):
            synthesize(model, voice_key=key)
        sent = synthesize(model, ref_audio=reference, ref_text="Some words.", voice_key=key, **settings)
        named = synthesize(model, voice_key=key, **settings)
        assert np.array_equal(sent.audio, named.audio)
        forget = service_pb2.ModelInferRequest(model_name="tritone")
        forget.parameters["forget_voice"].string_param = key
        assert len(list(read(stub.ModelStreamInfer(iter([forget]), timeout=DEADLINE)))) == 1
    with pytest.raises(RejectedError, match=r"^voice_key: it is not the key of this ref_audio"):
        synthesize(model, ref_audio=reference, ref_text="Other words.", voice_key=key)


def test_numbers_are_accepted_as_text(synthesize: Synthesize) -> None:
    answer = synthesize("qwen3-tts-0.6b", temperature="0", max_new_tokens="9")
    assert answer.last["audio_frames"][0] <= 8


def test_concurrent_requests_are_synthesized_together(synthesize: Synthesize) -> None:
    def request(seed: int) -> Answer:
        return synthesize("qwen3-tts-1.7b", "A story. " * 40, seed=seed, max_new_tokens=150)

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(request, range(4)))
    assert {answer.last["finish_reason"] for answer in answers} <= {"stop", "length", "runaway"}
    finished = [float(answer.last["total_seconds"][0]) for answer in answers]
    waited = [float(answer.last["queue_seconds"][0]) for answer in answers]
    assert max(waited) < min(finished), "the requests were synthesized one after the other"


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        ("qwen3-tts-0.6b", {"instruct": "Whisper."}, "instruct: not supported by this model; .*qwen3-tts-1.7b"),
        ("qwen3-tts-0.6b", {"voice": "alloy"}, "voice: 'alloy' is unknown; choose from: .*vivian"),
        ("qwen3-tts-0.6b", {"language": "klingon"}, "language: 'klingon' is not supported"),
        ("qwen3-tts-0.6b", {"max_new_tokens": 1}, "max_new_tokens: 1 is out of range"),
        ("qwen3-tts-1.7b", {"emotions": "[1, 0]"}, "emotions: 2 weights; give 8 numbers"),
        ("qwen3-tts-1.7b", {"speed": 2.0}, "speed: not supported by this model; .*kokoro-82m"),
        ("qwen3-tts-1.7b-design", {}, "instruct: this model needs it"),
        ("qwen3-tts-1.7b-design", {"voice": "Vivian"}, "voice: not supported by this model"),
        ("qwen3-tts-0.6b-clone", {"ref_text": "Some words."}, "ref_audio: this model needs it"),
        ("qwen3-tts-0.6b-clone", {"ref_audio": REFERENCE}, "ref_text: is missing"),
        ("qwen3-tts-0.6b-clone", {"ref_audio": REFERENCE[:960], "x_vector_only": True}, "ref_audio: it is 0.04 s"),
        ("qwen3-tts-0.6b-clone", {"ref_audio": REFERENCE * 0, "x_vector_only": True}, "ref_audio: it is silent"),
    ],
)
def test_unsupported_request_is_rejected_with_the_right_alternative(
    synthesize: Synthesize, model: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RejectedError, match=message):
        synthesize(model, **parameters)


def test_request_past_its_deadline_is_rejected(synthesize: Synthesize) -> None:
    with pytest.raises(RejectedError, match=r"overloaded: timed out waiting for a slot; try again in [0-9]+ s"):
        synthesize("qwen3-tts-0.6b", timeout=1)  # microsecond


def test_cancelled_request_frees_its_slot(
    stub: service_pb2_grpc.GRPCInferenceServiceStub, synthesize: Synthesize, qwen: Server
) -> None:
    model = "qwen3-tts-1.7b-design"
    cancelled = f'tritone_errors_total{{model="{model}",reason="cancelled"}}'
    deadline = time.monotonic() + DEADLINE
    while not qwen.metrics()[cancelled]:  # random weights may draw the end before the cancellation
        assert time.monotonic() < deadline, "the model was not told of the cancellation"
        stream = stub.ModelStreamInfer(iter([request_for(model, "A long story. " * 100, instruct="A calm voice.")]))
        assert next(read(stream))["audio"].size > 0
        stream.cancel()
        assert synthesize(model, **PARAMETERS[model], max_new_tokens=8).audio.size > 0
