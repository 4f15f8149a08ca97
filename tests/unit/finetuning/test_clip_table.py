"""The table of clips survives spreadsheets, and its faults are told with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetuning.clip_table import Row, read, write
from finetuning.errors import FineTuningError

ROWS = [
    Row("clips/a-0001.wav", 'She said, "no".', "minsu", "ko", seconds=1.5, rate=48_000, confidence=0.91, heard="ko"),
    Row("clips/b.wav", "안녕하세요.", "zoe"),
]


def test_written_table_is_read_back(tmp_path: Path) -> None:
    write(tmp_path / "clips.csv", ROWS)
    assert read(tmp_path / "clips.csv") == ROWS
    assert [row.id for row in ROWS] == ["a-0001", "b"]


def test_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    write(tmp_path / "clips.csv", ROWS)
    saved = "\ufeff" + (tmp_path / "clips.csv").read_text().replace("\n", "\r\n").replace("minsu", "MinSu")
    (tmp_path / "clips.csv").write_bytes(saved.encode())
    assert read(tmp_path / "clips.csv") == ROWS
    (tmp_path / "clips.csv").write_text("audio;text\nclips/b.wav;Well, yes.\n")
    assert read(tmp_path / "clips.csv") == [Row("clips/b.wav", "Well, yes.", "")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("audio,words\n", "has no column text: keep the first line as it was"),
        ("audio,text,rate\na.wav,Hi,fast\n", "line 2: .*: restore the number"),
        ("audio,text\na.wav,Hi\na.wav,Ho\n", "has the clip a twice"),
    ],
)
def test_faulty_table_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(FineTuningError, match=message):
        read(tmp_path / "clips.csv")


def test_missing_table_names_the_step_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(FineTuningError, match="run scripts/finetune prepare first"):
        read(tmp_path / "clips.csv")
