from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.whisper import checkpoint, hugging_face
from adapters.whisper.model import TritonPythonModel, hear_known_sentence
from tests.unit.adapters.whisper.conftest import an_instance
from tritone.transcript import Segment, Transcript


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.txt"])
def test_a_missing_file_is_named_with_its_folder_and_no_hub_is_asked(folder, tmp_path, missing):
    for file in folder.iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(FileNotFoundError, match=rf"{missing} is missing in {tmp_path}"):
        checkpoint.load(an_instance(tmp_path), tmp_path.parent)


def test_a_checkpoint_of_128_mels_needs_its_preprocessor_config(folder, monkeypatch):
    class OtherMels:
        def __init__(self, *args: object, **options: object) -> None:
            self.model = type("", (), {"n_mels": 128})
            self.feature_extractor = type("", (), {"mel_filters": np.zeros((80, 201))})

    monkeypatch.setattr(checkpoint, "WhisperModel", OtherMels)
    with pytest.raises(FileNotFoundError, match=r"preprocessor_config\.json is missing"):
        checkpoint.load(an_instance(folder), folder.parent)


def test_the_compute_type_is_the_devices_unless_the_environment_names_one(folder, whisper, monkeypatch):
    assert whisper.model.compute_type == "int8_float32"
    monkeypatch.setenv("WHISPER_COMPUTE_TYPE", "float32")
    assert checkpoint.load(an_instance(folder), folder.parent).model.compute_type == "float32"


@pytest.mark.parametrize(
    ("device", "native", "preferred"),
    [
        ("cuda", {"float32", "float16", "int8", "int8_float16", "int8_float32"}, "float16"),
        ("cuda", {"float32", "int8", "int8_float32"}, "int8"),
        ("cuda", {"float32"}, "float32"),
        ("cpu", {"float32", "int8", "int8_float32"}, "int8"),
    ],
)
def test_a_device_computes_in_the_best_that_it_has_natively(device, native, preferred, monkeypatch):
    monkeypatch.setattr("ctranslate2.get_supported_compute_types", lambda *_: native)
    assert checkpoint.preferred(device) == preferred


def test_the_known_sentence_is_heard(transcriber):
    hear_known_sentence(transcriber)


@pytest.mark.parametrize("text", ["", " The quick brown box jumps over the lazy dog."])
def test_a_runtime_that_hears_nothing_or_other_words_does_not_load(text):
    class Broken:
        def check(self, options):
            pass

        def transcribe(self, windows):
            return [Transcript("en", 1.0, (Segment(0.0, 1.0, text, (), 0.0, -0.1, 1.0, 0.0),))]

    with pytest.raises(RuntimeError, match=f"it heard '{text}' instead of 'the quick"):
        hear_known_sentence(Broken())


def test_the_config_may_name_another_folder(folder, whisper, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        "adapters.whisper.checkpoint.load", lambda instance, _: loaded.append(instance.folder) or whisper
    )
    for checkpoint_folder in ("our-own-whisper", "/elsewhere/whisper"):
        TritonPythonModel().load(an_instance(folder, checkpoint=checkpoint_folder, known_sentence="skip"))
    assert loaded == [folder.parent / "our-own-whisper", Path("/elsewhere/whisper")]


def test_a_checkpoint_of_random_weights_loads_where_the_config_skips_the_sentence(folder, whisper, monkeypatch):
    monkeypatch.setattr("adapters.whisper.checkpoint.load", lambda instance, _: whisper)
    monkeypatch.setattr("adapters.whisper.model.hear_known_sentence", lambda transcriber: pytest.fail("was run"))
    TritonPythonModel().load(an_instance(folder, known_sentence="skip"))


def test_a_checkpoint_of_hugging_faces_format_loads_from_its_conversion_or_says_how_to_get_one(folder, tmp_path):
    own = tmp_path / "mine"
    own.mkdir()
    (own / "config.json").write_text('{"model_type": "whisper"}')
    (own / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(FileNotFoundError, match=f"run scripts/fetch_models --convert {own}"):
        checkpoint.load(an_instance(own), tmp_path)
    target = hugging_face.converted(own, tmp_path)
    target.parent.mkdir(parents=True)
    target.symlink_to(folder)
    assert checkpoint.load(an_instance(own), tmp_path).model.is_multilingual
