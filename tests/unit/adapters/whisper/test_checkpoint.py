from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.triton.transcriber import Transcriber, WindowRequest
from adapters.whisper import checkpoint, hugging_face
from adapters.whisper.model import TritonPythonModel
from adapters.whisper.self_test import self_test
from tests.unit.adapters.whisper.conftest import instance_of
from tritone.contract import TranscriptionDescription, TranscriptionOptions
from tritone.transcript import Segment, Transcript


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.txt"])
def test_missing_file_is_reported_with_its_folder_without_a_request_to_a_hub(folder, tmp_path, missing):
    for file in folder.iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(FileNotFoundError, match=rf"{missing} is missing in {tmp_path}"):
        checkpoint.load(instance_of(tmp_path), tmp_path.parent)


def test_checkpoint_of_128_mels_needs_its_preprocessor_config(folder, monkeypatch):
    class OtherMels:
        def __init__(self, *args: object, **options: object) -> None:
            self.model = type("", (), {"n_mels": 128})
            self.feature_extractor = type("", (), {"mel_filters": np.zeros((80, 201))})

    monkeypatch.setattr(checkpoint, "WhisperModel", OtherMels)
    with pytest.raises(FileNotFoundError, match=r"preprocessor_config\.json is missing"):
        checkpoint.load(instance_of(folder), folder.parent)


def test_compute_type_is_the_devices_unless_the_setting_names_one(folder, whisper, monkeypatch):
    assert whisper.model.compute_type == "int8_float32"
    monkeypatch.setenv("WHISPER_COMPUTE_TYPE", "float32")
    assert checkpoint.load(instance_of(folder), folder.parent).model.compute_type == "float32"


@pytest.mark.parametrize(
    ("device", "native", "preferred"),
    [
        ("cuda", {"float32", "float16", "int8", "int8_float16", "int8_float32"}, "float16"),
        ("cuda", {"float32", "int8", "int8_float32"}, "int8"),
        ("cuda", {"float32"}, "float32"),
        ("cpu", {"float32", "int8", "int8_float32"}, "int8"),
    ],
)
def test_default_compute_type_is_the_best_native_one(device, native, preferred, monkeypatch):
    monkeypatch.setattr("ctranslate2.get_supported_compute_types", lambda *_: native)
    assert checkpoint.preferred(device) == preferred


@pytest.mark.parametrize(
    ("machine", "gpus", "device"), [("aarch64", 0, "cpu"), ("aarch64", 1, "cuda"), ("x86_64", 0, "cuda")]
)
def test_only_a_package_without_cuda_for_aarch64_runs_on_the_cpu_of_a_gpu_machine(
    folder, machine, gpus, device, monkeypatch
):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: gpus)
    assert checkpoint.usable(replace(instance_of(folder), device="cuda")).device == device


def test_self_test_passes_with_the_real_weights(transcriber):
    self_test(transcriber)


@pytest.mark.parametrize("text", ["", " The quick brown box jumps over the lazy dog."])
def test_self_test_fails_with_a_runtime_that_returns_no_text_or_other_words(text):
    class BrokenTranscriber:
        description, parallel_calls = TranscriptionDescription((), (), ()), 1

        def check(self, options: TranscriptionOptions) -> None:
            pass

        def transcribe(self, windows: Sequence[WindowRequest]) -> list[Transcript]:
            return [Transcript("en", 1.0, (Segment(0.0, 1.0, text, (), 0.0, -0.1, 1.0, 0.0),))]

    with pytest.raises(RuntimeError, match=f"the transcript is '{text}' instead of 'the quick"):
        self_test(BrokenTranscriber())


def test_config_may_name_another_folder(folder, whisper):
    loaded = []

    def load(instance, model_dir):
        loaded.append(instance.folder)
        return whisper

    for checkpoint_folder in ("our-own-whisper", "/elsewhere/whisper"):
        TritonPythonModel(load).load(instance_of(folder, checkpoint=checkpoint_folder, known_sentence="skip"))
    assert loaded == [folder.parent / "our-own-whisper", Path("/elsewhere/whisper")]


@pytest.mark.parametrize(("parameters", "tests"), [({}, 1), ({"known_sentence": "skip"}, 0)])
def test_self_test_runs_at_load_unless_the_config_skips_it(folder, whisper, parameters, tests):
    tested: list[Transcriber] = []
    model = TritonPythonModel(lambda *_: whisper, tested.append)
    model.load(instance_of(folder, **parameters))
    assert len(tested) == tests


def test_hugging_face_checkpoint_loads_from_its_conversion_or_reports_the_command(folder, tmp_path):
    own = tmp_path / "mine"
    own.mkdir()
    (own / "config.json").write_text('{"model_type": "whisper"}')
    (own / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(FileNotFoundError, match=f"run scripts/fetch_models --convert {own}"):
        checkpoint.load(instance_of(own), tmp_path)
    target = hugging_face.converted(own, tmp_path)
    target.parent.mkdir(parents=True)
    target.symlink_to(folder)
    assert checkpoint.load(instance_of(own), tmp_path).model.is_multilingual
