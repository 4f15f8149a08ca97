from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from tests.toy_families.counter.model import TritonPythonModel
from tritone.contract import LISTEN_RATE, TranscriptionDescription
from tritone.transcript import Transcript

pb_utils: Any = import_module("triton_python_backend_utils")
"""The stand-in, which has more than the types of the real module."""
ARGS = {
    "model_name": "counter",
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


def tone(hertz: float, seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * LISTEN_RATE)) / LISTEN_RATE)).astype(np.float32)


def columns(model: TritonPythonModel, audio: np.ndarray, **parameters: object) -> dict[str, np.ndarray]:
    request = pb_utils.InferenceRequest({"audio": audio[np.newaxis]}, json.dumps(parameters))
    model.execute([request])
    [response] = request.sender.sent
    error = response.error()
    if error is not None:
        raise error
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


@pytest.mark.parametrize(
    ("hertz", "seconds", "text"), [(220, 3, " 3 seconds low"), (440, 3, " 3 seconds high"), (440, 1, " 1 seconds high")]
)
def test_text_has_the_seconds_and_the_pitch(model: TritonPythonModel, hertz: float, seconds: float, text: str) -> None:
    transcript = Transcript.from_columns(columns(model, tone(hertz, seconds)))
    assert [segment.text for segment in transcript.segments] == [text]
    assert (transcript.language, transcript.segments[0].end) == ("en", seconds)


def test_segment_has_no_statistics(model: TritonPythonModel) -> None:
    [segment] = Transcript.from_columns(columns(model, tone(220, 2))).segments
    assert (segment.temperature, segment.avg_logprob, segment.no_speech_prob) == (None, None, None)


def test_silence_has_no_segments(model: TritonPythonModel) -> None:
    assert Transcript.from_columns(columns(model, tone(220, 2) * 0)).segments == ()


def test_description_has_the_options_of_the_family_file(model: TritonPythonModel) -> None:
    described = columns(model, tone(220, 1), describe=True)["description"]
    assert TranscriptionDescription.from_json(described[0, 0]) == TranscriptionDescription(
        languages=("en",), tasks=("transcribe",), options=("language",)
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"word_timestamps": True}, "word_timestamps: not supported by this model"),
        ({"prompt": "Seconds:"}, "prompt: not supported by this model"),
        ({"language": "fr"}, "language: 'fr' is not supported; send en, or auto"),
    ],
)
def test_unsupported_option_is_rejected(model: TritonPythonModel, parameters: dict[str, object], message: str) -> None:
    with pytest.raises(pb_utils.TritonError, match=message):
        columns(model, tone(220, 1), **parameters)
