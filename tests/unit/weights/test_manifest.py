from __future__ import annotations

from pathlib import Path

import pytest

from adapters.qwen3_tts.checkpoint import UnusableCheckpointError
from supervisor.weights import manifest, wanted
from tests.unit.weights.conftest import table, write_manifest
from tritone.catalogue import Catalogue


def test_what_is_served_without_settings_has_weights() -> None:
    models = Catalogue.load().choose([], [])
    assert {model.id for model in models} <= set(wanted(models)) <= set(manifest.load())


def test_no_voice_detector_is_fetched_where_nobody_listens() -> None:
    assert wanted(Catalogue.load().choose(["voice_design"], ["none"]), {}) == ["Qwen3-TTS-12Hz-1.7B-VoiceDesign"]


def test_every_model_of_the_catalogue_has_weights_in_its_folder() -> None:
    assert {model.folder for model in Catalogue.load().models.values()} <= set(manifest.load())


def test_nothing_is_fetched_for_a_model_whose_checkpoint_a_setting_names(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"tts_model_type": "custom_voice", "tts_model_size": "0b6", "talker_config": {"codec_language_id": {}}}'
    )
    models = Catalogue.load().choose(["custom_voice"], ["none"], model_type="both")
    assert wanted(models, {"CUSTOM_VOICE_MODEL_PATH": str(tmp_path)}) == ["Qwen3-TTS-12Hz-1.7B-CustomVoice"]
    with pytest.raises(UnusableCheckpointError, match="CUSTOM_VOICE_1_7B_MODEL_PATH"):
        wanted(models, {"CUSTOM_VOICE_1_7B_MODEL_PATH": str(tmp_path)})


def test_what_all_published_checkpoints_share_is_one_content() -> None:
    qwen = [entry for entry in manifest.load().values() if entry.id.startswith("Qwen3-TTS")]
    assert len(qwen) == 5
    assert len({entry.files["speech_tokenizer/model.safetensors"] for entry in qwen}) == 1
    assert len({entry.files["model.safetensors"] for entry in qwen}) == 5


def test_without_paths_every_file_has_its_own_at_the_source(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.toml", '[[tiny.sources]]\nhub = "o/r@v"\n', {"a/x": b"x", "y": b"y"})
    (read,) = manifest.load(path)["tiny"].sources
    assert {name: location.parts for name, location in read.locations.items()} == {"a/x": ("a/x",), "y": ("y",)}


@pytest.mark.parametrize("entry", manifest.load().values(), ids=lambda entry: entry.id)
def test_every_file_has_a_source(entry: manifest.Entry) -> None:
    served = {name for source in entry.sources for name in source.locations}
    assert served == set(entry.files)


def test_a_whole_digest_stands_beside_every_file() -> None:
    for entry in manifest.load().values():
        for blob in (blob for blobs in entry.files.values() for blob in blobs):
            assert len(bytes.fromhex(blob.sha256)) == 32
            assert blob.size > 0


def test_a_folder_stands_for_its_files_and_a_path_of_its_own_goes_before_it(tmp_path: Path) -> None:
    source = '[[tiny.sources]]\nhub = "o/r@v"\n[tiny.sources.paths]\n"a/x" = "elsewhere"\n"a/" = "b/"\n'
    path = write_manifest(tmp_path / "m.toml", source, {"a/x": b"x", "a/y": b"y"})
    (read,) = manifest.load(path)["tiny"].sources
    assert {name: location.parts for name, location in read.locations.items()} == {
        "a/x": ("elsewhere",),
        "a/y": ("b/y",),
    }


def test_the_same_content_in_other_bytes_will_do_as_well(tmp_path: Path) -> None:
    other = table(b"{ }").replace("{ ", '{ path = "t", ', 1)
    source = f'[[tiny.sources]]\nnpm = "p@1"\n[tiny.sources.paths]\n"t.json" = {other}\n'
    path = write_manifest(tmp_path / "m.toml", source, {"t.json": b"{}"})
    assert [blob.size for blob in manifest.load(path)["tiny"].files["t.json"]] == [2, 3]


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/model.bin"])
def test_a_file_outside_of_the_model_s_folder_is_refused(tmp_path: Path, name: str) -> None:
    source = f'[[tiny.sources]]\nhub = "o/r@v"\n[tiny.sources.paths]\n"{name}" = "x"\n'
    with pytest.raises(ValueError, match="leaves the model's folder"):
        manifest.load(write_manifest(tmp_path / "m.toml", source, {name: b"x"}))


@pytest.mark.parametrize("line", ['gopher = "x"', 'hub = "o/r@v"\nnpm = "p@1"'])
def test_a_source_of_no_or_of_two_kinds_is_refused(tmp_path: Path, line: str) -> None:
    source = f'[[tiny.sources]]\n{line}\n[tiny.sources.paths]\n"x" = "x"\n'
    with pytest.raises(ValueError, match=r"gopher|too many values"):
        manifest.load(write_manifest(tmp_path / "m.toml", source, {"x": b"x"}))
