"""Family folders for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

WriteFamily = Callable[..., Path]
"""Writes a `family.toml` with the given text, and returns its folder."""


@pytest.fixture
def write_family(tmp_path: Path) -> WriteFamily:
    def write(text: str, name: str = "example") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "family.toml").write_text(dedent(text), encoding="utf-8")
        return folder

    return write
