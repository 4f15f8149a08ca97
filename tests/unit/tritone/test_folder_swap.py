"""A folder takes the place of another whatever interrupts it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tritone import folder_swap
from tritone.folder_swap import finish_removals, put_in_place, remove_at_once


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in (".voice.new", "voice"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(name)
    return tmp_path / ".voice.new", tmp_path / "voice"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_new_folder_replaces_the_former_one(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(folder_swap, "_exchange", lambda one, other: False)
    fresh, place = folders
    put_in_place(fresh, place)
    assert (place / "weights").read_text() == ".voice.new"
    assert [path.name for path in place.parent.iterdir()] == ["voice"]


def test_folder_without_a_former_one_gets_its_name(folders: tuple[Path, Path]) -> None:
    fresh, place = folders
    put_in_place(fresh, place.with_name("other"))
    assert (place.with_name("other") / "weights").read_text() == ".voice.new"


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("interrupted", [1, 2])
def test_a_whole_folder_is_in_place_after_an_interruption(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, interrupted: int, *, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(folder_swap, "_exchange", lambda one, other: False)
    rename, renames = Path.rename, []

    def interrupt(path: Path, target: Path) -> Path:
        renames.append(path)
        if len(renames) == interrupted:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupt)
    fresh, place = folders
    try:
        put_in_place(fresh, place)
    except KeyboardInterrupt:
        assert not can_exchange
    assert (place / "weights").read_text() == (".voice.new" if can_exchange else "voice")


def test_kill_before_the_former_folder_is_removed_does_not_hinder_the_next_swap(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_swap, "_exchange", lambda one, other: False)
    fresh, place = folders
    left = place.with_name(".voice.new.old")
    left.mkdir()
    (left / "weights").write_text("older")
    put_in_place(fresh, place)
    assert (place / "weights").read_text() == ".voice.new"
    assert [path.name for path in place.parent.iterdir()] == ["voice"]


def test_rest_of_a_removal_that_was_killed_is_removed_later(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, place = folders
    remove, killed = shutil.rmtree, KeyboardInterrupt

    def kill(path: Path, *, ignore_errors: bool = False) -> None:
        if path.exists():
            raise killed
        remove(path, ignore_errors=ignore_errors)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", kill)
        with pytest.raises(killed):
            remove_at_once(place)
    assert not place.exists()
    assert len(list(place.parent.iterdir())) == 2
    finish_removals(place.parent)
    assert list(place.parent.iterdir()) == [fresh]


def test_former_folder_stays_if_the_new_one_is_missing(folders: tuple[Path, Path]) -> None:
    fresh, place = folders
    with pytest.raises(FileNotFoundError):
        put_in_place(fresh.with_name("missing"), place)
    assert (place / "weights").read_text() == "voice"
