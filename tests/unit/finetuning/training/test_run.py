"""A run goes on where it was cut, as if it had not been; what is on disk is whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.events import Chosen, Evaluated, Event, Planned, Progress, Saved
from finetuning.plan import TrainingPlan
from finetuning.training import export, train
from finetuning.training.history import read_history
from finetuning.training.stepper import Stepper
from tests.unit.finetuning.training.tiny import dataset_of, plan_of
from tests.unit.finetuning.training.together import CHOSEN

EPOCHS = 2


@pytest.fixture(scope="module")
def plan(base: Path) -> TrainingPlan:
    return plan_of(base, **CHOSEN)


@pytest.fixture(scope="module")
def dataset(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("data"), base, copies=2)


@pytest.fixture(scope="module")
def whole(plan: TrainingPlan, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    run = tmp_path_factory.mktemp("whole") / "run"
    train(plan, dataset, run, lambda _: None)
    return run


def weights(run: Path, epoch: int = EPOCHS) -> dict[str, torch.Tensor]:
    return load_file(run / "epochs" / str(epoch) / "model.safetensors")


def assert_equal_runs(run: Path, other: Path) -> None:
    assert read_history(run) == read_history(other)
    for epoch in range(1, EPOCHS + 1):
        ours, theirs = weights(run, epoch), weights(other, epoch)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class Events:
    """Keeps the events; sends Ctrl-C at the one that `at` accepts."""

    def __init__(self, at: Callable[[Event], bool] = lambda _: False) -> None:
        self.all: list[Event] = []
        self._at = at

    def __call__(self, event: Event) -> None:
        self.all.append(event)
        if self._at(event):
            interrupt()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.all if isinstance(event, kind)]


@pytest.mark.parametrize(
    "at",
    [
        lambda event: isinstance(event, Progress) and event.step == 3,
        lambda event: isinstance(event, Saved) and event.step > 0,  # an epoch that is not judged yet
        lambda event: isinstance(event, Evaluated) and event.scores.step == 0,
    ],
    ids=["between steps", "before a judgement", "after a judgement"],
)
def test_interrupted_run_ends_as_an_uninterrupted_one(
    at: Callable[[Event], bool], plan: TrainingPlan, dataset: Dataset, whole: Path, tmp_path: Path
) -> None:
    events = Events(at)
    with pytest.raises(KeyboardInterrupt):
        train(plan, dataset, tmp_path / "run", events)
    assert (tmp_path / "run" / "state.pt").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = Events()
    train(plan, dataset, tmp_path / "run", resumed)
    (planned,) = resumed.of(Planned)
    assert planned.step == len(events.of(Progress))
    assert_equal_runs(tmp_path / "run", whole)


def test_steps_of_a_killed_run_that_are_run_again_are_listed_once(
    plan: TrainingPlan, dataset: Dataset, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(plan, dataset, run, Events(lambda event: isinstance(event, Progress) and event.step == 2))
    listed = (run / "progress.jsonl").read_text()
    last = listed.splitlines()[-1]
    # SIGKILL after a step that is not in the saved state, while the line of the next was written.
    (run / "progress.jsonl").write_text(listed + last.replace('"step": 2', '"step": 3') + "\n" + last[:20])
    events = Events()
    train(plan, dataset, run, events)
    steps = [json.loads(line)["step"] for line in (run / "progress.jsonl").read_text().splitlines()]
    assert steps == list(range(1, events.of(Planned)[0].steps + 1))


def test_signal_within_a_step_waits_for_its_end(
    plan: TrainingPlan, dataset: Dataset, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Stepper.run

    def interrupted(self: Stepper, *arguments: Any) -> Any:
        losses = run(self, *arguments)
        interrupt()
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(plan, dataset, tmp_path / "run", lambda _: None)
    resumed = Events()
    train(plan, dataset, tmp_path / "run", resumed)
    assert resumed.of(Planned)[0].step == 1
    assert_equal_runs(tmp_path / "run", whole)


def test_full_disk_leaves_the_former_state_and_nothing_half_written(
    plan: TrainingPlan, dataset: Dataset, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(plan, dataset, run, Events(lambda event: isinstance(event, Progress) and event.step == 1))
    before = (run / "state.pt").read_bytes()
    (run / f".state.pt.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(FineTuningError, match=r"no space left for .*state\.pt"):
        train(plan, dataset, run, lambda _: None)
    assert (run / "state.pt").read_bytes() == before
    assert not [path for path in run.rglob(".*")]
    train(plan, dataset, run, lambda _: None)
    assert_equal_runs(run, whole)


def test_progress_tells_the_steps_and_the_time_left(plan: TrainingPlan, dataset: Dataset, tmp_path: Path) -> None:
    events = Events()
    chosen = train(plan, dataset, tmp_path / "run", events)
    (planned,), progress = events.of(Planned), events.of(Progress)
    assert [one.step for one in progress] == list(range(1, planned.steps + 1))
    assert progress[-1].seconds_left == 0 < progress[0].seconds_left
    assert all(one.frames_per_second > 0 for one in progress)
    assert events.all[-1] == chosen == Chosen(EPOCHS, "the last epoch, because no clip is held out to judge by")
    assert [one.scores.name for one in events.of(Evaluated)] == ["start", "epoch 1", "epoch 2"]


def test_folder_of_another_plan_or_data_set_is_refused(
    plan: TrainingPlan, dataset: Dataset, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(FineTuningError, match="a run with another seed, the data set"):
        train(replace(plan, seed=1), replace(dataset, clips=dataset.clips[1:]), whole, lambda _: None)


def test_export_needs_a_new_folder_and_an_epoch_that_exists(plan: TrainingPlan, whole: Path, tmp_path: Path) -> None:
    export(whole, tmp_path / "voice", epoch=1)
    with pytest.raises(FineTuningError, match="voice exists"):
        export(whole, tmp_path / "voice")
    with pytest.raises(FineTuningError, match="no checkpoint of epoch 9; choose one of: 1, 2"):
        export(whole, tmp_path / "other", epoch=9)
    with pytest.raises(FineTuningError, match="no chosen epoch: train to the end"):
        export(tmp_path, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["voice"]


def test_two_processes_train_what_one_does(plan: TrainingPlan, dataset: Dataset, whole: Path, tmp_path: Path) -> None:
    dataset.write()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    module = ["-m", "tests.unit.finetuning.training.together"]
    arguments = [str(path) for path in (plan.start, dataset.folder, tmp_path / "run")]
    done = subprocess.run([*launcher, *module, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Chosen") == 1  # only the first process reports
    ours, theirs = weights(tmp_path / "run"), weights(whole)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-4)
