"""Faults of clips are found: errors for what cannot be learned, warnings for what harms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from finetuning import clip_table
from finetuning.checks import Problem, measure, of_all, of_clip, of_speakers
from finetuning.clip_table import Row
from finetuning.errors import FineTuningError
from finetuning.project import Project
from finetuning.steps.check import check
from tests.unit.finetuning.recordings import silence, speech, write

GOOD = Row("clips/a.wav", "She said she would be here.", "minsu", "en", rate=48_000)
NOISE = np.random.default_rng(0).normal(0, 0.05, 72_000).astype(np.float32)


def found(row: Row, samples: NDArray[np.float32]) -> set[tuple[str, str]]:
    return {(problem.level, problem.kind) for problem in of_clip(measure(row, samples))}


def test_good_clip_has_no_problem() -> None:
    assert found(GOOD, speech(3)) == set()


@pytest.mark.parametrize(
    ("row", "samples", "problem"),
    [
        (replace(GOOD, text=""), speech(3), ("error", "empty text")),
        (replace(GOOD, text="..."), speech(3), ("error", "empty text")),
        (GOOD, speech(0.3), ("error", "length")),
        (GOOD, speech(31), ("error", "length")),
        (GOOD, speech(25), ("warning", "length")),
        (GOOD, silence(3), ("error", "silence")),
        (replace(GOOD, rate=16_000), speech(3), ("warning", "rate")),
        (GOOD, np.clip(speech(3, level=3), -1, 1), ("warning", "clipping")),
        (GOOD, speech(3, level=0.005), ("warning", "level")),
        (GOOD, np.concatenate([speech(1), silence(4)]), ("warning", "silence")),
        (GOOD, NOISE, ("warning", "noise")),
        (replace(GOOD, confidence=0.3), speech(3), ("warning", "transcript")),
        (replace(GOOD, text="안녕하세요, 반갑습니다."), speech(3), ("error", "language")),
        (replace(GOOD, language="ko"), speech(3), ("error", "language")),
        (replace(GOOD, text="In 1984 he left."), speech(3), ("warning", "digits")),
    ],
)
def test_fault_of_a_clip_is_found(row: Row, samples: NDArray[np.float32], problem: tuple[str, str]) -> None:
    assert problem in found(row, samples)


def test_text_that_is_much_too_long_for_its_audio_is_found() -> None:
    clips = [measure(replace(GOOD, audio=f"{i}.wav"), speech(3 + i / 10)) for i in range(6)]
    odd = measure(replace(GOOD, audio="odd.wav", text=GOOD.text * 4), speech(3.2))
    assert [p.clip for p in of_all([*clips, odd]) if p.kind == "pace"] == ["odd"]


def test_same_audio_twice_is_found() -> None:
    clips = [measure(replace(GOOD, audio=name), speech(3)) for name in ("a.wav", "b.wav")]
    assert [p for p in of_all(clips) if p.kind == "duplicate"] == [
        Problem("warning", "duplicate", "the same audio as a: delete one", "b")
    ]


def test_no_clip_is_an_error_and_few_minutes_are_a_warning() -> None:
    assert [(p.level, p.kind) for p in of_all([])] == [("error", "no clips")]
    assert ("warning", "amount") in [(p.level, p.kind) for p in of_all([measure(GOOD, speech(3))])]


def test_clip_of_another_speaker_is_found() -> None:
    mine, other = np.eye(4, dtype=np.float32)[:2]
    rows = [replace(GOOD, audio=f"{i}.wav") for i in range(5)]
    assert [p.clip for p in of_speakers(rows, [mine, mine, None, other, mine])] == ["3"]


def test_report_is_written_and_errors_stop_the_step(tmp_path: Path) -> None:
    project = Project.begin(tmp_path / "minsu", tmp_path / "models", {})
    for name in ("a", "b"):
        write(project.clips / f"{name}.wav", speech(2))
    clip_table.write(project.table, [GOOD, replace(GOOD, audio="clips/b.wav", text="<b>")])
    check(project)
    report = json.loads((project.folder / "report.json").read_text())
    assert (report["clips"], report["errors"], report["speakers"]) == (2, 0, ["minsu"])
    assert "duplicate" in {problem["kind"] for problem in report["problems"]}
    page = (project.folder / "report.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<svg" in page
    clip_table.write(project.table, [replace(GOOD, text="")])
    with pytest.raises(FineTuningError, match="correct the errors above in"):
        check(project)
