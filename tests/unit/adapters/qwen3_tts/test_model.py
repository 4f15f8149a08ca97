"""The whole adapter, called as Triton calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils

from adapters.qwen3_tts.checkpoint import UnusableCheckpointError
from adapters.qwen3_tts.model import TritonPythonModel
from tritone.settings import UnusableSettingError


def arguments(model: str) -> dict[str, str]:
    return {
        "model_name": model,
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
        "model_config": json.dumps({"parameters": {}}),
    }


@pytest.mark.parametrize("engine", ["inflight", "stock"])
def test_voice_is_cloned_from_tensors(
    model_dir: Path, reference: np.ndarray, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv("QWEN_ENGINE", engine)
    monkeypatch.setenv("MODEL_DIR", str(model_dir))
    monkeypatch.setenv("CPU_THREADS", "1")
    model = TritonPythonModel()
    model.initialize(arguments("qwen3-tts-0.6b-clone"))
    inputs = {"text": np.array([b"Hello."], np.object_), "ref_audio": reference}
    accepted = pb_utils.InferenceRequest(
        inputs, json.dumps({"ref_text": "Some words.", "max_new_tokens": "6", "temperature": "0"})
    )
    rejected = pb_utils.InferenceRequest({**inputs, "ref_audio": reference[:2400]}, json.dumps({"x_vector_only": True}))
    model.execute([accepted, rejected])
    assert accepted.sender.ended.wait(300)
    model.finalize()
    last = {tensor.name(): tensor.as_numpy() for tensor in accepted.sender.sent[-1].output_tensors()}
    assert (last["finish_reason"][0], last["audio_frames"][0]) == (b"length", 5)
    error = rejected.sender.sent[-1].error()
    assert error is not None
    assert error.message().startswith("ref_audio: it is 0.10 s")


def test_text_is_written_out_by_the_rules_of_its_language_if_the_setting_asks_for_it(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN_TEXT_NORMALIZATION", "on")
    monkeypatch.setenv("MODEL_DIR", str(model_dir))
    monkeypatch.setenv("CPU_THREADS", "1")
    model = TritonPythonModel()
    model.initialize(arguments("qwen3-tts-0.6b"))

    def text_tokens(text: str, language: str) -> int:
        parameters = json.dumps({"language": language, "max_new_tokens": 2})
        request = pb_utils.InferenceRequest({"text": np.array([text.encode()], np.object_)}, parameters)
        model.execute([request])
        assert request.sender.ended.wait(300)
        outputs = request.sender.sent[-1].output_tensors()
        return int(next(tensor.as_numpy()[0] for tensor in outputs if tensor.name() == "text_tokens"))

    assert text_tokens("$5.50", "en") == text_tokens("5 dollars and 50 cents", "en")
    assert text_tokens("$5.50", "auto") < text_tokens("$5.50", "en")
    model.finalize()


def test_unknown_engine_is_rejected(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN_ENGINE", "fast")
    monkeypatch.setenv("MODEL_DIR", str(model_dir))
    with pytest.raises(UnusableSettingError, match="QWEN_ENGINE=fast is unknown; choose from inflight, stock"):
        TritonPythonModel().initialize(arguments("qwen3-tts-0.6b"))


def test_model_without_a_checkpoint_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    with pytest.raises(UnusableCheckpointError):
        TritonPythonModel().initialize(arguments("qwen3-tts-1.7b"))
