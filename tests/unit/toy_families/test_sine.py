from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests.toy_families.sine.model import HERTZ, SAMPLES_PER_LETTER, TritonPythonModel
from tritone.contract import SPEECH_RATE, SpeechDescription

pb_utils: Any = import_module("triton_python_backend_utils")
"""The stand-in, which has more than the types of the real module."""
PATIENCE = 300
ARGS = {
    "model_name": "sine",
    "model_config": "{}",
    "model_instance_kind": "CPU",
    "model_instance_device_id": "0",
}


@pytest.fixture
def model() -> Iterator[TritonPythonModel]:
    model = TritonPythonModel()
    model.initialize(ARGS)
    yield model
    model.finalize()


def outputs(model: TritonPythonModel, text: str, **parameters: object) -> list[dict[str, np.ndarray]]:
    """Return the output tensors of each response, after the end."""
    request = pb_utils.InferenceRequest({"text": np.array([text.encode()], np.object_)}, json.dumps(parameters))
    model.execute([request])
    assert request.sender.ended.wait(PATIENCE)
    errors = [response.error() for response in request.sender.sent if response.has_error()]
    if errors:
        raise errors[0]
    return [{each.name(): each.as_numpy() for each in response.output_tensors()} for response in request.sender.sent]


def hertz(audio: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(audio)).argmax() * SPEECH_RATE / len(audio))


@pytest.mark.parametrize("voice", ["low", "high"])
def test_voice_sets_the_pitch(model: TritonPythonModel, voice: str) -> None:
    first, *_ = outputs(model, "Hello there.", voice=voice)
    assert hertz(first["audio"]) == pytest.approx(HERTZ[voice], abs=5)


def test_length_follows_from_the_text_and_the_speed(model: TritonPythonModel) -> None:
    normal, fast = (
        sum(len(each["audio"]) for each in outputs(model, "Hello, there.", speed=speed)) for speed in (1.0, 2.0)
    )
    assert normal > 10 * SAMPLES_PER_LETTER
    assert fast < 0.6 * normal


def test_last_response_counts_letters_as_tokens_and_frames(model: TritonPythonModel) -> None:
    *_, last = outputs(model, "Hello, there.")
    assert (last["text_tokens"].tolist(), last["audio_frames"].tolist()) == ([10], [10])


def test_long_text_is_sent_part_by_part(model: TritonPythonModel) -> None:
    assert len(outputs(model, "This is a sentence of some length. " * 8)) == 4  # three parts, and the counts


def test_description_has_the_options_of_the_family_file(model: TritonPythonModel) -> None:
    [response] = outputs(model, "", describe=True)
    description = SpeechDescription.from_json(response["description"][0])
    assert [voice.id for voice in description.voices] == ["low", "high"]
    assert description.options == ("voice", "language", "speed")


def test_unsupported_option_is_rejected(model: TritonPythonModel) -> None:
    with pytest.raises(pb_utils.TritonError, match="seed: not supported by this model"):
        outputs(model, "Hello.", seed=1)
