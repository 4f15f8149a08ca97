"""A file appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritone.whole_file import write_text, writing_whole


def test_file_has_its_name_at_the_end_of_the_block_alone(tmp_path: Path) -> None:
    with writing_whole(tmp_path / "codes") as file:
        file.write(b"new")
        assert not (tmp_path / "codes").exists()
        assert not list(tmp_path.glob("[!.]*"))
    assert (tmp_path / "codes").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["codes"]


def test_block_that_fails_leaves_the_former_file(tmp_path: Path) -> None:
    write_text(tmp_path / "notes", "전")
    with pytest.raises(TypeError), writing_whole(tmp_path / "notes") as file:
        file.writelines([b"half", "not bytes"])  # type: ignore[list-item]
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "전"
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
