"""The five Qwen3-TTS models through the real Triton, on random checkpoints in the published layout."""

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

DEADLINE = 120
TEXT = "The harbour was quiet."
REFERENCE = (0.2 * np.sin(np.arange(2 * SPEECH_RATE) * 0.04)).astype(np.float32)
ASKED: dict[str, dict[str, Any]] = {
    "qwen3-tts-0.6b": {"voice": "Vivian", "language": "Korean"},
    "qwen3-tts-1.7b": {"voice": "uncle_fu", "instruct": "Whisper it."},
    "qwen3-tts-1.7b-design": {"instruct": "A calm, low voice."},
    "qwen3-tts-0.6b-clone": {"ref_audio": REFERENCE, "ref_text": "Some words."},
    "qwen3-tts-1.7b-clone": {"ref_audio": REFERENCE, "x_vector_only": True},
}
"""What each of the models is good for."""


class RefusedError(Exception):
    """What the model answered in place of audio."""


@dataclass
class Answer:
    """A whole stream."""

    audio: np.ndarray
    pieces: int
    last: dict[str, Any]


Speak = Callable[..., Answer]


@pytest.fixture(scope="module")
def stub(qwen: Server) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(qwen.grpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def speak(stub: service_pb2_grpc.GRPCInferenceServiceStub) -> Speak:
    """Ask a model to speak, and read its stream to the end."""

    def speak(model: str, text: str = TEXT, **asked: Any) -> Answer:
        audio, last = [], {}
        for outputs in read(stub.ModelStreamInfer(iter([question(model, text, **asked)]), timeout=DEADLINE)):
            last = outputs
            audio.append(outputs.get("audio", np.empty(0, np.int16)))
        return Answer(np.concatenate(audio), sum(piece.size > 0 for piece in audio), last)

    return speak


def question(model: str, text: str = TEXT, ref_audio: np.ndarray | None = None, **parameters: Any) -> Any:
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
    """The outputs of each response, to the stream's very end: Triton 2.51 never unloads a model whose stream is left.

    Raises `RefusedError` where there is an error instead.
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
        raise RefusedError(error)


@pytest.mark.parametrize("model", ASKED)
def test_every_model_speaks(speak: Speak, model: str) -> None:
    answer = speak(model, **ASKED[model], max_new_tokens=20)
    assert answer.last["finish_reason"] in ("stop", "length")
    assert answer.audio.size == answer.last["audio_frames"][0] * 1920 > 0
    assert np.abs(answer.audio).max() > 300
    assert answer.last["text_tokens"][0] > 0


@pytest.mark.parametrize("model", ASKED)
def test_every_model_describes_itself_without_a_reference(speak: Speak, model: str) -> None:
    description = SpeechDescription.from_json(speak(model, describe=True).last["description"])
    assert set(ASKED[model]) - {"ref_audio"} <= set(description.options)
    assert bool(description.voices) == ("voice" in description.options)
    assert {"zh", "ko", "en"} <= set(description.languages)


def test_the_same_seed_gives_the_same_audio(speak: Speak) -> None:
    one, same, other = (speak("qwen3-tts-0.6b", seed=seed, max_new_tokens=16).audio for seed in (7, 7, 8))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_numbers_may_come_as_text(speak: Speak) -> None:
    answer = speak("qwen3-tts-0.6b", temperature="0", max_new_tokens="9")
    assert answer.last["audio_frames"][0] <= 8


def test_many_callers_are_spoken_together(speak: Speak) -> None:
    def ask(seed: int) -> Answer:
        return speak("qwen3-tts-1.7b", "A story. " * 40, seed=seed, max_new_tokens=150)

    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(ask, range(4)))
    assert {answer.last["finish_reason"] for answer in answers} <= {"stop", "length", "runaway"}
    finished = [float(answer.last["total_seconds"][0]) for answer in answers]
    waited = [float(answer.last["queue_seconds"][0]) for answer in answers]
    assert max(waited) < min(finished), "they were spoken one after the other"


@pytest.mark.parametrize(
    ("model", "asked", "message"),
    [
        ("qwen3-tts-0.6b", {"instruct": "Whisper."}, "instruct: not supported by this model; .*qwen3-tts-1.7b"),
        ("qwen3-tts-0.6b", {"voice": "alloy"}, "voice: 'alloy' is unknown; choose from: .*vivian"),
        ("qwen3-tts-0.6b", {"language": "klingon"}, "language: 'klingon' is not supported"),
        ("qwen3-tts-0.6b", {"max_new_tokens": 1}, "max_new_tokens: 1 is out of range"),
        ("qwen3-tts-1.7b", {"speed": 2.0}, "speed: not supported by this model; .*kokoro-82m"),
        ("qwen3-tts-1.7b-design", {}, "instruct: this model needs it"),
        ("qwen3-tts-1.7b-design", {"voice": "Vivian"}, "voice: not supported by this model"),
        ("qwen3-tts-0.6b-clone", {"ref_text": "Some words."}, "ref_audio: this model needs it"),
        ("qwen3-tts-0.6b-clone", {"ref_audio": REFERENCE}, "ref_text: is missing"),
        ("qwen3-tts-0.6b-clone", {"ref_audio": REFERENCE[:960], "x_vector_only": True}, "ref_audio: it is 0.04 s"),
        ("qwen3-tts-0.6b-clone", {"ref_audio": REFERENCE * 0, "x_vector_only": True}, "ref_audio: it is silent"),
    ],
)
def test_what_a_model_cannot_do_is_refused_with_what_would_be_right(
    speak: Speak, model: str, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        speak(model, **asked)


def test_a_request_whose_own_time_is_over_is_refused(speak: Speak) -> None:
    with pytest.raises(RefusedError, match=r"overloaded: timed out waiting for a slot; try again in [0-9]+ s"):
        speak("qwen3-tts-0.6b", timeout=1)  # microsecond


def test_a_caller_that_leaves_gives_its_place_to_the_next(
    stub: service_pb2_grpc.GRPCInferenceServiceStub, speak: Speak, qwen: Server
) -> None:
    model = "qwen3-tts-1.7b-design"
    cancelled = f'tritone_errors_total{{model="{model}",reason="cancelled"}}'
    deadline = time.monotonic() + DEADLINE
    while not qwen.metrics()[cancelled]:  # random weights may draw the end before it is heard: then once more
        assert time.monotonic() < deadline, "the model never heard that the caller had gone"
        stream = stub.ModelStreamInfer(iter([question(model, "A long story. " * 100, instruct="A calm voice.")]))
        assert next(read(stream))["audio"].size > 0
        stream.cancel()
        assert speak(model, **ASKED[model], max_new_tokens=8).audio.size > 0
