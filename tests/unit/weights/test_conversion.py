"""Conversion of Whisper checkpoints in Hugging Face's format; the converter is a stand-in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor.environments import ROOT
from supervisor.weights import FetchError, Progress, conversion, fetch, missing
from tritone.families import Family

FORMAT = Family.load(ROOT / "adapters" / "whisper").conversion
assert FORMAT
converted, is_checkpoint = FORMAT.folder_of, FORMAT.applies_to
CONVERTS = """
import pathlib, sys
target = pathlib.Path(sys.argv[-1])
target.mkdir()
(target / "model.bin").write_bytes(b"converted")
"""
FAILS = "import sys; print('some', file=sys.stderr); sys.exit('ValueError: a tensor is missing\\n')"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A whisper-small that the operator has put into MODEL_DIR, `tmp_path`."""
    folder = tmp_path / "whisper-small"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def converter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Run `code` instead of the converter."""
    python = tmp_path / "python"
    (tmp_path / "converter.py").write_text(code)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "converter.py"} "$@"\n')
    python.chmod(0o755)
    stand_in = SimpleNamespace(python=python, ensure=lambda: None)
    monkeypatch.setattr(conversion, "Environment", lambda name: stand_in)


def test_a_checkpoint_in_hugging_faces_format_is_recognized_by_its_files(own: Path) -> None:
    assert is_checkpoint(own)
    (own / "model.bin").write_bytes(b"")
    assert not is_checkpoint(own)


@pytest.mark.parametrize("config", ['{"model_type": "llama"}', "no JSON", "[]", None])
def test_another_folder_needs_no_conversion(own: Path, config: str | None) -> None:
    (own / "config.json").unlink()
    if config is not None:
        (own / "config.json").write_text(config)
    assert not is_checkpoint(own)


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "pytorch_model.bin"])
def test_weights_may_be_in_several_files_or_in_the_older_format(own: Path, name: str) -> None:
    (own / "model.safetensors").rename(own / name)
    assert is_checkpoint(own)


def test_a_checkpoint_is_missing_until_it_is_converted(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    converter(monkeypatch, tmp_path, CONVERTS)
    model = converted(own, tmp_path) / "model.bin"
    assert missing(tmp_path, ["whisper-small"]) == [model]
    fetch(tmp_path, ["whisper-small"], cache_dir=tmp_path / "store", progress=Progress(sys.stderr))
    assert model.read_bytes() == b"converted"
    assert missing(tmp_path, ["whisper-small"]) == []
    assert f"{own}: converting" in capsys.readouterr().err
    assert sorted(path.name for path in own.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("changed", ["config.json", "model.safetensors"])
def test_another_content_is_another_conversion(own: Path, tmp_path: Path, changed: str) -> None:
    before = converted(own, tmp_path)
    (own / changed).write_bytes((own / changed).read_bytes() + b" ")
    assert converted(own, tmp_path) != before


def test_the_same_content_elsewhere_is_the_same_conversion(own: Path, tmp_path: Path) -> None:
    before = converted(own, tmp_path)
    assert converted(own.rename(tmp_path / "mine"), tmp_path) == before


def test_a_failed_conversion_reports_the_converters_last_line_and_leaves_nothing(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converter(monkeypatch, tmp_path, FAILS)
    with pytest.raises(FetchError, match="cannot be converted: ValueError: a tensor is missing"):
        fetch(tmp_path, ["whisper-small"], cache_dir=tmp_path / "store")
    assert list((tmp_path / "cache" / "ctranslate2").iterdir()) == []


def test_a_folder_without_such_a_checkpoint_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="holds no checkpoint that needs a conversion"):
        conversion.convert(tmp_path, tmp_path, Progress())


def test_the_converter_has_the_version_of_the_loader() -> None:
    def pin(name: str) -> str:
        lines = (ROOT / "requirements" / name).read_text().splitlines()
        return next(line for line in lines if line.startswith("ctranslate2=="))

    assert pin("models/qwen.txt") == pin("constraints.txt")
