"""An exported checkpoint is put in service at once, replaced at once, and removed; others are never touched."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from finetuning.errors import FineTuningError
from finetuning.publish import publish, remove


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    (folder / "speech_tokenizer").mkdir(parents=True)
    for name in ("config.json", "finetuning.json", "model.safetensors", "speech_tokenizer/config.json"):
        (folder / name).write_text(name)
    return folder


def test_published_voice_has_all_files_and_takes_no_space_twice(checkpoint: Path, tmp_path: Path) -> None:
    place = publish(checkpoint, tmp_path / "models", "minsu")
    assert place == tmp_path / "models" / "finetuned" / "minsu"
    assert (place / "speech_tokenizer" / "config.json").exists()
    assert (place / "model.safetensors").samefile(checkpoint / "model.safetensors")
    assert [path.name for path in place.parent.iterdir()] == ["minsu"]


def test_voice_is_copied_to_another_disk(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "other device")

    monkeypatch.setattr(os, "link", other_disk)
    assert (publish(checkpoint, tmp_path / "models", "minsu") / "config.json").read_text() == "config.json"


def test_later_voice_replaces_the_earlier_one(checkpoint: Path, tmp_path: Path) -> None:
    publish(checkpoint, tmp_path / "models", "minsu")
    (checkpoint / "config.json").unlink()
    (checkpoint / "config.json").write_text("better")
    place = publish(checkpoint, tmp_path / "models", "minsu")
    assert (place / "config.json").read_text() == "better"
    assert [path.name for path in place.parent.iterdir()] == ["minsu"]


@pytest.mark.parametrize("interrupted", [1, 2])
def test_interruption_between_two_renames_leaves_a_voice(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: int
) -> None:
    place = publish(checkpoint, tmp_path / "models", "minsu")
    rename, renames = Path.rename, []

    def interrupt(path: Path, target: Path) -> Path:
        renames.append(path)
        if len(renames) == interrupted:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupt)
    with suppress(KeyboardInterrupt):
        publish(checkpoint, tmp_path / "models", "minsu")
    assert (place / "config.json").exists()


def test_full_disk_leaves_nothing_and_the_earlier_voice_stays(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = publish(checkpoint, tmp_path / "models", "minsu")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        publish(checkpoint, tmp_path / "models", "minsu")
    assert [path.name for path in place.parent.iterdir()] == ["minsu"]
    assert (place / "config.json").exists()


def test_checkpoint_of_the_operators_own_is_neither_replaced_nor_removed(checkpoint: Path, tmp_path: Path) -> None:
    own = tmp_path / "models" / "finetuned" / "minsu"
    own.mkdir(parents=True)
    with pytest.raises(FineTuningError, match="was not made by this command: move it away"):
        publish(checkpoint, tmp_path / "models", "minsu")
    with pytest.raises(FineTuningError, match="was not made by this command: remove it yourself"):
        remove(tmp_path / "models", "minsu")


def test_removed_voice_is_gone_and_another_removal_is_an_error(checkpoint: Path, tmp_path: Path) -> None:
    place = publish(checkpoint, tmp_path / "models", "minsu")
    remove(tmp_path / "models", "minsu")
    assert list(place.parent.iterdir()) == []
    with pytest.raises(FineTuningError, match="there is no voice in"):
        remove(tmp_path / "models", "minsu")


def test_missing_checkpoint_names_the_step_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(FineTuningError, match="run scripts/finetune export minsu first"):
        publish(tmp_path / "checkpoint", tmp_path / "models", "minsu")
