"""A folder, a recording, a CSV or a JSONL file are read as recordings; each fault is a line that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetuning.errors import FineTuningError
from finetuning.recordings.sources import Source, find
from tests.unit.finetuning.recordings import silence, write


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write(tmp_path / "a.wav", silence(1))


def test_folder_stands_for_all_recordings_below_it(tmp_path: Path, clip: Path) -> None:
    other = write(tmp_path / "day 2" / "B.WAV", silence(1))
    (tmp_path / "notes.txt").write_text("not audio")
    assert find(tmp_path) == [Source(clip), Source(other)]


def test_one_recording_is_a_source(clip: Path) -> None:
    assert find(clip) == [Source(clip)]


def test_jsonl_of_the_published_fine_tuning_is_read_as_it_is(tmp_path: Path, clip: Path) -> None:
    lines = [{"audio": str(clip), "text": " Hello. ", "ref_audio": "a.wav", "audio_codes": [[1]], "language": "ko"}]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert find(path) == [Source(clip, "Hello.", language="ko", ref_audio=clip)]


@pytest.mark.parametrize(
    "text",
    [
        "audio,text,speaker\na.wav,Hello.,Minsu\n",
        "audio\ttext\tspeaker\na.wav\tHello.\tminsu\n",
        "audio|text|speaker\na.wav|Hello.|minsu\n",
        "audio;text;speaker\r\na.wav;Hello.;minsu\r\n",
        "audio,text,speaker\na.wav,Hello.,minsu,,\n",
        "\ufeffaudio,text,speaker\na.wav,Hello.,minsu\n",
    ],
)
def test_csv_with_a_header_is_read(tmp_path: Path, clip: Path, text: str) -> None:
    path = tmp_path / "clips.csv"
    path.write_text(text, encoding="utf-8")
    assert find(path) == [Source(clip, "Hello.", "minsu")]


def test_jsonl_may_have_the_end_of_a_paragraph_in_a_text(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"audio": "a.wav", "text": "One.\u2028Two."}\r\n', encoding="utf-8")
    assert find(path) == [Source(clip, "One.\u2028Two.")]


def test_quotation_marks_of_a_list_with_bars_are_a_part_of_its_texts(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_text('audio|text\na.wav|"Hello\na.wav|Ho\n')
    assert [source.text for source in find(path)] == ['"Hello', "Ho"]


def test_lines_of_a_file_and_a_text_are_read(tmp_path: Path) -> None:
    clip = write(tmp_path / "wavs" / "LJ001.wav", silence(1))
    path = tmp_path / "metadata.csv"
    path.write_text("LJ001|as written|as spoken\n")
    assert find(path) == [Source(clip, "as spoken")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "audio,text\nb.wav,Hello.\n", r"c.csv, line 2: .*b.wav is missing: correct the path"),
        ("c.csv", "audio,text\na.wav, \n", r"c.csv, line 2 has no `text`: write the words of a.wav"),
        ("c.csv", "file,words\na.wav,Hello.\n", r"begin it with the line `audio,text`"),
        (
            "c.csv",
            'audio,text\na.wav,Hi.\na.wav,"Hello.\na.wav,Ho.\n',
            r"c.csv, from line 3: .*: close quotation marks",
        ),
        ("c.csv", "audio,text\na.wav,Hello, you.\n", r"line 2 has more than 2 values: put a text that has ',' in it"),
        ("c.jsonl", '{"audio": "a.wav", "text": ["Hi."]}\n', r"line 1: `text` is \['Hi.'\]: write a text"),
        ("c.jsonl", "{\n", r"c.jsonl, line 1 is not JSON"),
        ("c.jsonl", "[1]\n", r"line 1 is not a JSON object"),
        ("c.jsonl", '{"text": "Hello."}\n', r"line 1 has no `audio`"),
        ("c.jsonl", '{"audio": "a.wav", "text": "Hi.", "ref_audio": "r.wav"}\n', r"r.wav is missing"),
        ("c.jsonl", "\n", r"has no line with a clip"),
    ],
)
def test_faulty_list_is_rejected_with_the_line(tmp_path: Path, clip: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FineTuningError, match=message):
        find(path)


def test_missing_path_and_empty_folder_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(FineTuningError, match="does not exist: name a folder of recordings"):
        find(tmp_path / "missing")
    with pytest.raises(FineTuningError, match="has no audio file"):
        find(tmp_path)
