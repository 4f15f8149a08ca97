"""The steps `train`, `export` and `evaluate` of a project, on a checkpoint with random weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.qwen3_tts.checkpoint import Checkpoint
from finetuning.dataset import Clip, Dataset
from finetuning.errors import FineTuningError
from finetuning.project import Project
from finetuning.steps import train as step
from finetuning.steps.evaluate import evaluate
from finetuning.steps.export import export
from finetuning.steps.train import train
from tools.tiny_models.qwen3_tts import write_checkpoint
from tools.tiny_models.shapes import SHAPES


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_checkpoint(folder, "base", SHAPES["tiny"]["0.6B"])
    return folder


@pytest.fixture
def project(tmp_path: Path, tiny: Path) -> Project:
    """A project with a data set of two clips, and none held out."""
    project = Project.begin(tmp_path / "minsu", tmp_path / "models", {"start": str(tiny), "epochs": 1})
    random = np.random.default_rng(0)
    clips = [Clip(f"c{i}", f"/c{i}.wav", f"Clip {i}.", "minsu", "english") for i in range(2)]
    codes = {clip.id: random.integers(0, 64, (8 + i, 16)).astype(np.int16) for i, clip in enumerate(clips)}
    Dataset(project.dataset, clips, codes, {"minsu": np.ones(16, np.float32)}).write()
    return project


def test_training_is_exported_judged_and_not_repeated(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    train(project)
    assert "epoch 1 is chosen" in (told := capsys.readouterr().out)
    assert "in all" in told
    assert "<h1>minsu: training</h1>" in (project.folder / "training.html").read_text()
    export(project)
    export(project)
    assert Checkpoint.read(project.checkpoint).speakers == ("minsu",)
    assert [path.name for path in project.folder.glob(".*")] == []
    evaluate(project)
    assert json.loads((project.folder / "evaluation.json").read_text())["name"] == "checkpoint"
    capsys.readouterr()
    train(project)
    assert "going on at step" in capsys.readouterr().out


def test_changed_options_and_recordings_need_a_new_training(project: Project) -> None:
    train(project)
    other = replace(project, options=replace(project.options, epochs=2))
    with pytest.raises(FineTuningError, match="epochs changed since this training began: train anew with --again"):
        train(other)
    dataset = Dataset.read(project.dataset)
    replace(dataset, clips=[replace(clip, text="Other.") for clip in dataset.clips]).write()
    with pytest.raises(FineTuningError, match="recordings changed since this training began"):
        train(project)


def test_training_that_would_fill_the_disk_does_not_begin(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "disk_needed", lambda plan: shutil.disk_usage(project.folder).free + (1 << 40))
    with pytest.raises(FineTuningError, match=r"no space left: .* free some, or name another folder with --work"):
        train(project)
    assert not project.run.exists()


def test_steps_name_the_step_before_them(project: Project) -> None:
    with pytest.raises(FineTuningError, match="run scripts/finetune train minsu first"):
        export(project)
    with pytest.raises(FineTuningError, match="run scripts/finetune export minsu first"):
        evaluate(project)
