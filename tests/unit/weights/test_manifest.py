from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.weights import manifest, wanted
from tests.unit.weights.conftest import table, write_manifest
from tritone.catalogue import Catalogue


def test_what_is_served_without_settings_has_weights() -> None:
    models = Catalogue.load().choose([], [])
    assert {model.id for model in models} <= set(wanted(models)) <= set(manifest.load())


def test_weights_that_the_user_brings_are_not_fetched_nor_a_voice_detector_where_nobody_listens() -> None:
    assert wanted(Catalogue.load().choose(["voice_design"], ["none"])) == []


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
