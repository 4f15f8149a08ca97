"""Checkpoints that the operator names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tritone.catalogue import Catalogue
from tritone.checkpoints import UnusableCheckpointError, by_setting, template_of
from tritone.families import ROOT

CATALOGUE = Catalogue.load({})
CUSTOM_VOICE_1_7B = {"tts_model_type": "custom_voice", "tts_model_size": "1b7"}
CUSTOM_VOICE_0_6B = {"tts_model_type": "custom_voice", "tts_model_size": "0b6"}
BASE_1_7B = {"tts_model_type": "base", "tts_model_size": "1b7"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


def write(folder: Path, config: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize("model", [model for model in CATALOGUE.models.values() if model.recognized_by])
def test_checkpoint_is_recognized_by_its_config(folder: Path, model) -> None:
    write(folder, {"other": 1, **model.recognized_by})
    assert template_of(folder, CATALOGUE).id == model.id


def test_checkpoint_of_an_unknown_type_is_rejected_with_its_type(folder: Path) -> None:
    write(folder, {"tts_model_type": "singing", "tts_model_size": "1b7"})
    with pytest.raises(
        UnusableCheckpointError,
        match=r"config\.json says tts_model_type='singing', tts_model_size='1b7'; no known model is like it",
    ):
        template_of(folder, CATALOGUE)


def test_checkpoint_without_a_type_is_rejected(folder: Path) -> None:
    write(folder, {})
    with pytest.raises(UnusableCheckpointError, match="says no known model type"):
        template_of(folder, CATALOGUE)


def test_folder_without_a_config_is_rejected(folder: Path) -> None:
    with pytest.raises(UnusableCheckpointError, match=r"config\.json is missing; put a checkpoint there"):
        template_of(folder, CATALOGUE)


@pytest.mark.parametrize(
    ("content", "problem"), [(b"{", "cannot be read"), (b"\xff", "cannot be read"), (b"[]", "is not a JSON object")]
)
def test_unreadable_config_is_rejected(folder: Path, content: bytes, problem: str) -> None:
    folder.mkdir()
    (folder / "config.json").write_bytes(content)
    with pytest.raises(UnusableCheckpointError, match=rf"config\.json {problem}"):
        template_of(folder, CATALOGUE)


def test_model_without_a_setting_has_no_other_checkpoint() -> None:
    assert by_setting(CATALOGUE.models["qwen3-tts-1.7b"], CATALOGUE, {}) is None
    assert by_setting(CATALOGUE.models["kokoro-82m"], CATALOGUE, {"CUSTOM_VOICE_MODEL_PATH": "/somewhere"}) is None


def test_shared_setting_applies_to_the_model_that_the_checkpoint_is_like(folder: Path) -> None:
    write(folder, CUSTOM_VOICE_1_7B)
    environ = {"CUSTOM_VOICE_MODEL_PATH": str(folder)}
    assert by_setting(CATALOGUE.models["qwen3-tts-1.7b"], CATALOGUE, environ) == folder
    assert by_setting(CATALOGUE.models["qwen3-tts-0.6b"], CATALOGUE, environ) is None
    assert by_setting(CATALOGUE.models["qwen3-tts-1.7b-clone"], CATALOGUE, environ) is None


def test_setting_of_one_size_wins_over_the_shared_one(tmp_path: Path) -> None:
    write(tmp_path / "shared", CUSTOM_VOICE_1_7B)
    write(tmp_path / "own", CUSTOM_VOICE_1_7B)
    environ = {
        "CUSTOM_VOICE_MODEL_PATH": str(tmp_path / "shared"),
        "CUSTOM_VOICE_1_7B_MODEL_PATH": str(tmp_path / "own"),
    }
    assert by_setting(CATALOGUE.models["qwen3-tts-1.7b"], CATALOGUE, environ) == tmp_path / "own"


def test_setting_of_one_size_rejects_a_checkpoint_of_another_size(folder: Path) -> None:
    write(folder, CUSTOM_VOICE_0_6B)
    with pytest.raises(
        UnusableCheckpointError,
        match=r"CUSTOM_VOICE_1_7B_MODEL_PATH=.* holds a model like qwen3-tts-0\.6b, not qwen3-tts-1\.7b",
    ):
        by_setting(CATALOGUE.models["qwen3-tts-1.7b"], CATALOGUE, {"CUSTOM_VOICE_1_7B_MODEL_PATH": str(folder)})


def test_shared_setting_rejects_a_checkpoint_of_another_mode(folder: Path) -> None:
    write(folder, BASE_1_7B)
    with pytest.raises(UnusableCheckpointError, match=r"holds a model like qwen3-tts-1\.7b-clone, not qwen3-tts-0\.6b"):
        by_setting(CATALOGUE.models["qwen3-tts-0.6b"], CATALOGUE, {"CUSTOM_VOICE_MODEL_PATH": str(folder)})


def test_path_may_be_relative_to_the_clone() -> None:
    with pytest.raises(UnusableCheckpointError, match=f"{ROOT}/absent/config.json is missing"):
        by_setting(CATALOGUE.models["qwen3-tts-1.7b"], CATALOGUE, {"CUSTOM_VOICE_MODEL_PATH": "absent"})


def test_family_alone_recognizes_its_checkpoints(folder: Path) -> None:
    write(folder, CUSTOM_VOICE_1_7B)
    families = CATALOGUE.families
    assert template_of(folder, families["qwen3_tts"]).id == "qwen3-tts-1.7b"
    with pytest.raises(UnusableCheckpointError, match="no known model is like it"):
        template_of(folder, families["kokoro"])
