"""The checkpoint of each model, and its description."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.qwen3_tts.checkpoint import Checkpoint, UnusableCheckpointError, choose
from adapters.triton.instance import Instance


def instance(model: str, model_dir: Path, **parameters: str) -> Instance:
    return Instance(model, "cpu", 0, model_dir / model, 1, parameters)


def fine_tuned(folder: Path, model_dir: Path, size: str = "0.6B") -> Path:
    """Write a CustomVoice config with a fine-tuned speaker."""
    config = json.loads((model_dir / f"Qwen3-TTS-12Hz-{size}-CustomVoice" / "config.json").read_text())
    config["talker_config"] |= {"spk_id": {"Minsu": 1100}, "spk_is_dialect": {"Minsu": False}}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("model", "mode", "size", "own"),
    [
        ("qwen3-tts-0.6b", "custom_voice", "0.6b", {"voice"}),
        ("qwen3-tts-1.7b", "custom_voice", "1.7b", {"voice", "instruct"}),
        ("qwen3-tts-1.7b-design", "voice_design", "1.7b", {"instruct"}),
        ("qwen3-tts-0.6b-clone", "voice_clone", "0.6b", {"ref_text", "x_vector_only"}),
        ("qwen3-tts-1.7b-clone", "voice_clone", "1.7b", {"ref_text", "x_vector_only"}),
    ],
)
def test_each_model_uses_its_published_checkpoint(
    model_dir: Path, model: str, mode: str, size: str, own: set[str]
) -> None:
    checkpoint = choose(instance(model, model_dir), {})
    assert (checkpoint.mode, checkpoint.size) == (mode, size)
    assert own == {"voice", "instruct", "ref_text", "x_vector_only"} & set(checkpoint.supported_options)
    assert {"language", "temperature", "seed"} <= set(checkpoint.supported_options)


def test_speakers_and_languages_come_from_the_checkpoint(model_dir: Path) -> None:
    description = choose(instance("qwen3-tts-0.6b", model_dir), {}).describe("VIVIAN")
    assert ("uncle_fu", "Uncle_Fu") in [(voice.id, voice.name) for voice in description.voices]
    assert description.default_voice == "vivian"
    assert sorted(description.languages) == ["de", "en", "es", "fr", "it", "ja", "ko", "pt", "ru", "zh"]


def test_first_speaker_is_the_default_if_the_configured_one_is_missing(model_dir: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.read(fine_tuned(tmp_path / "minsu", model_dir))
    assert checkpoint.describe("Vivian").default_voice == "Minsu"


def test_fine_tuned_checkpoint_replaces_the_model_of_its_size(model_dir: Path, tmp_path: Path) -> None:
    settings = {"CUSTOM_VOICE_MODEL_PATH": str(fine_tuned(tmp_path / "minsu", model_dir))}
    assert choose(instance("qwen3-tts-0.6b", model_dir), settings).speakers == ("Minsu",)
    assert "vivian" in choose(instance("qwen3-tts-1.7b", model_dir), settings).speakers


def test_each_size_may_have_a_fine_tuned_checkpoint(model_dir: Path, tmp_path: Path) -> None:
    settings = {
        "CUSTOM_VOICE_MODEL_PATH": str(fine_tuned(tmp_path / "small", model_dir)),
        "CUSTOM_VOICE_1_7B_MODEL_PATH": str(fine_tuned(tmp_path / "large", model_dir, "1.7B")),
    }
    assert choose(instance("qwen3-tts-0.6b", model_dir), settings).folder == tmp_path / "small"
    assert choose(instance("qwen3-tts-1.7b", model_dir), settings).folder == tmp_path / "large"


def test_checkpoint_of_another_size_or_mode_is_rejected_with_the_setting(model_dir: Path, tmp_path: Path) -> None:
    path = str(fine_tuned(tmp_path / "minsu", model_dir))
    with pytest.raises(
        UnusableCheckpointError, match=r"CUSTOM_VOICE_1_7B_MODEL_PATH=.* like qwen3-tts-0\.6b, not qwen3-tts-1\.7b"
    ):
        choose(instance("qwen3-tts-1.7b", model_dir), {"CUSTOM_VOICE_1_7B_MODEL_PATH": path})
    with pytest.raises(UnusableCheckpointError, match=r"VOICE_CLONE_MODEL_PATH=.* like qwen3-tts-0\.6b, not .*-clone"):
        choose(instance("qwen3-tts-0.6b-clone", model_dir), {"VOICE_CLONE_MODEL_PATH": path})


def test_extra_model_names_its_checkpoint_by_a_parameter(model_dir: Path, tmp_path: Path) -> None:
    folder = fine_tuned(tmp_path / "minsu", model_dir)
    assert choose(instance("minsu", tmp_path, checkpoint="minsu"), {}).folder == folder
    assert choose(instance("minsu", model_dir, checkpoint=str(folder)), {}).folder == folder


def test_folder_without_a_checkpoint_is_rejected_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UnusableCheckpointError, match=r"Qwen3-TTS-12Hz-0\.6B-Base/config\.json is missing"):
        choose(instance("qwen3-tts-0.6b-clone", tmp_path), {})


def test_checkpoint_of_another_model_family_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(UnusableCheckpointError, match="no known model is like it"):
        Checkpoint.read(tmp_path)
