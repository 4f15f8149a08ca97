"""The folder that all clones share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.cache import cache_folder
from supervisor.environments import ROOT


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TRITONE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_cache_is_in_the_home(home: Path) -> None:
    assert cache_folder() == home / ".cache" / "tritone"


def test_settings_move_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "tritone"
    monkeypatch.setenv("TRITONE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


@pytest.mark.parametrize("cause", ["no permission", "read-only", "no such user"])
def test_without_a_home_that_can_be_written_the_cache_is_in_the_clone(
    home: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    if cause == "no such user":
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(os, "getuid", lambda: 4242424)
    else:
        monkeypatch.setattr(os, "access", lambda *_: False)
        monkeypatch.setenv("HOME", {"no permission": "/proc/nowhere", "read-only": "/sys"}[cause])
    assert cache_folder() == ROOT / ".cache" / "tritone"
