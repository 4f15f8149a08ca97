from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.weights import FetchError, manifest, wanted
from tests.unit.weights.conftest import table, write_manifest
from tritone.catalogue import Catalogue
from tritone.checkpoints import UnusableCheckpointError
from tritone.families import ROOT

CATALOGUE = Catalogue.load()


def test_the_default_models_have_weights() -> None:
    models = CATALOGUE.choose([], [])
    assert {model.id for model in models} <= set(wanted(models, CATALOGUE)) <= set(manifest.load())


def test_no_voice_detector_is_fetched_without_a_transcription_model() -> None:
    models = CATALOGUE.choose(["voice_design"], ["none"])
    assert wanted(models, CATALOGUE, {}) == ["Qwen3-TTS-12Hz-1.7B-VoiceDesign"]


def test_every_model_has_weights_in_the_manifest_or_a_page_that_says_where_to_put_them() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    known = set(manifest.load())
    for model in CATALOGUE.models.values():
        declared = (CATALOGUE.families[model.family].folder / "weights.toml").is_file()
        assert model.weights in known if declared else f"MODEL_DIR/{model.weights}" in pages, model.id


def test_the_weights_of_a_further_family_come_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bark"
    folder.mkdir()
    (folder / "family.toml").write_text(
        '[family]\nkind = "speech"\nmode = "voice"\nenvironment = "bark"\nowner = "o"\n[models.tiny]\n'
    )
    write_manifest(folder / "weights.toml", '[[tiny.sources]]\nhub = "o/r@v"\n', {"x": b"x"})
    monkeypatch.setenv("EXTRA_FAMILIES", str(folder))
    assert manifest.load()["tiny"].page == "https://hub.test/tiny"
    catalogue = Catalogue.load()
    assert wanted([catalogue.models["tiny"]], catalogue) == ["tiny"]


def test_a_malformed_file_of_a_family_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bark"
    folder.mkdir()
    (folder / "family.toml").write_text(
        '[family]\nkind = "speech"\nmode = "voice"\nenvironment = "bark"\nowner = "o"\n[models.tiny]\n'
    )
    (folder / "weights.toml").write_text('[tiny]\nlicence = "MIT"\n')
    monkeypatch.setenv("EXTRA_FAMILIES", str(folder))
    with pytest.raises(FetchError, match=r"bark/weights\.toml is malformed: TypeError: .*page"):
        manifest.load()


def test_a_model_with_a_checkpoint_by_setting_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"tts_model_type": "custom_voice", "tts_model_size": "0b6", "talker_config": {"codec_language_id": {}}}'
    )
    models = CATALOGUE.choose(["custom_voice"], ["none"], model_type="both")
    assert wanted(models, CATALOGUE, {"CUSTOM_VOICE_MODEL_PATH": str(tmp_path)}) == ["Qwen3-TTS-12Hz-1.7B-CustomVoice"]
    with pytest.raises(UnusableCheckpointError, match="CUSTOM_VOICE_1_7B_MODEL_PATH"):
        wanted(models, CATALOGUE, {"CUSTOM_VOICE_1_7B_MODEL_PATH": str(tmp_path)})


def test_the_published_checkpoints_share_one_speech_tokenizer() -> None:
    qwen = [entry for entry in manifest.load().values() if entry.id.startswith("Qwen3-TTS")]
    assert len(qwen) == 5
    assert len({entry.files["speech_tokenizer/model.safetensors"] for entry in qwen}) == 1
    assert len({entry.files["model.safetensors"] for entry in qwen}) == 5


def test_without_paths_every_file_has_the_same_path_at_the_source(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.toml", '[[tiny.sources]]\nhub = "o/r@v"\n', {"a/x": b"x", "y": b"y"})
    (source,) = manifest.read(path)["tiny"].sources
    assert {name: location.parts for name, location in source.locations.items()} == {"a/x": ("a/x",), "y": ("y",)}


@pytest.mark.parametrize("entry", manifest.load().values(), ids=lambda entry: entry.id)
def test_every_file_has_a_source(entry: manifest.Entry) -> None:
    served = {name for source in entry.sources for name in source.locations}
    assert served == set(entry.files)


def test_a_whole_digest_stands_beside_every_file() -> None:
    for entry in manifest.load().values():
        for blob in (blob for blobs in entry.files.values() for blob in blobs):
            assert len(bytes.fromhex(blob.sha256)) == 32
            assert blob.size > 0


def test_a_folder_means_its_files_and_a_files_own_path_takes_precedence(tmp_path: Path) -> None:
    sources = '[[tiny.sources]]\nhub = "o/r@v"\n[tiny.sources.paths]\n"a/x" = "elsewhere"\n"a/" = "b/"\n'
    path = write_manifest(tmp_path / "m.toml", sources, {"a/x": b"x", "a/y": b"y"})
    (source,) = manifest.read(path)["tiny"].sources
    assert {name: location.parts for name, location in source.locations.items()} == {
        "a/x": ("elsewhere",),
        "a/y": ("b/y",),
    }


def test_the_same_content_in_other_bytes_is_accepted(tmp_path: Path) -> None:
    other = table(b"{ }").replace("{ ", '{ path = "t", ', 1)
    source = f'[[tiny.sources]]\nnpm = "p@1"\n[tiny.sources.paths]\n"t.json" = {other}\n'
    path = write_manifest(tmp_path / "m.toml", source, {"t.json": b"{}"})
    assert [blob.size for blob in manifest.read(path)["tiny"].files["t.json"]] == [2, 3]


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/model.bin"])
def test_a_file_outside_of_the_models_folder_is_rejected(tmp_path: Path, name: str) -> None:
    source = f'[[tiny.sources]]\nhub = "o/r@v"\n[tiny.sources.paths]\n"{name}" = "x"\n'
    with pytest.raises(ValueError, match="leaves the model's folder"):
        manifest.read(write_manifest(tmp_path / "m.toml", source, {name: b"x"}))


@pytest.mark.parametrize("line", ['gopher = "x"', 'hub = "o/r@v"\nnpm = "p@1"'])
def test_a_source_of_no_kind_or_of_two_is_rejected(tmp_path: Path, line: str) -> None:
    source = f'[[tiny.sources]]\n{line}\n[tiny.sources.paths]\n"x" = "x"\n'
    with pytest.raises(ValueError, match=r"gopher|too many values"):
        manifest.read(write_manifest(tmp_path / "m.toml", source, {"x": b"x"}))
