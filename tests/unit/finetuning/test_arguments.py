"""The command line: all steps or one, and the options of the published fine-tuning as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetuning.arguments import STEPS, parse


def test_name_and_recordings_ask_for_all_steps() -> None:
    asked = parse(["--caller", "/home/me", "minsu", "recordings/", "--language", "ko"])
    assert (asked.name, asked.steps) == ("minsu", STEPS)
    assert asked.folder.parts[-2:] == ("finetunes", "minsu")
    assert asked.given == {"recordings": "/home/me/recordings", "language": "ko"}


def test_step_and_name_ask_for_that_step() -> None:
    asked = parse(["--caller", "/home/me", "train", "minsu", "--work", "w", "--epochs", "2", "--again"])
    assert (asked.name, asked.steps, asked.folder) == ("minsu", ("train",), Path("/home/me/w/minsu"))
    assert asked.given == {"epochs": 2}
    assert asked.again


def test_options_of_the_published_scripts_are_taken_as_they_are() -> None:
    line = "minsu --train_jsonl train.jsonl --init_model_path Qwen/Qwen3-TTS-12Hz-1.7B-Base --batch_size 2 --lr 2e-5"
    asked = parse(["--caller", "/data", *line.split(), "--num_epochs", "3", "--speaker_name", "MinSu"])
    assert asked.given == {
        "recordings": "/data/train.jsonl",
        "start": "Qwen/Qwen3-TTS-12Hz-1.7B-Base",
        "batch_clips": 2,
        "learning_rate": 2e-5,
        "epochs": 3,
        "speaker": "MinSu",
    }


def test_folder_of_the_start_is_relative_to_the_caller(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    assert parse(["--caller", str(tmp_path), "minsu", "--base", "base"]).given["start"] == str(tmp_path / "base")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train", "train of which voice?"),
        ("minsu a b", "one folder or file of recordings, not 2"),
        ("train minsu a", "train needs no recordings"),
        ("minsu a --lr 3", "3 must be above 0 and below 1"),
        ("minsu a --lr fast", "fast must be above 0 and below 1"),
        ("minsu a --epochs 0", "0 must be a whole number from 1"),
        ("minsu a --epochs three", "three must be a whole number from 1"),
        ("minsu a --clip-seconds 60", "60 must be at most 30"),
        ("minsu a --method best", "invalid choice"),
        ("minsu a --seed -1", "-1 must be a whole number from 0"),
    ],
)
def test_wrong_line_is_a_usage_error(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(line.split())
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
