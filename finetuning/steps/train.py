"""The step `train`: teach the start the voice, and choose an epoch.

On several GPUs: `envs/qwen/bin/accelerate launch -m finetuning.steps.train finetunes/NAME`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from finetuning.dataset import FRAME_RATE, Dataset
from finetuning.errors import FineTuningError
from finetuning.events import Chosen, Evaluated, Event, Losses, Planned, Progress, Warned
from finetuning.judge import WorkerJudge
from finetuning.memory import disk_needed, estimate, make_plan
from finetuning.plan import TrainingPlan
from finetuning.progress import duration, say
from finetuning.project import Project
from finetuning.starts import choose
from finetuning.steps.run import run
from finetuning.training import probe
from finetuning.training import train as run_training
from finetuning.training.history import read_history
from finetuning.training_page import scores_line, training_page
from tritone.whole_file import write_text

_EVERY: Final = 5.0
"""Seconds between two lines about steps."""
_GB: Final = 1 << 30


def train(project: Project) -> None:
    """Train, or go on, and write the page of the training."""
    dataset = Dataset.read(project.dataset)
    is_first = os.environ.get("RANK", "0") == "0"  # of several processes
    plan = _former_plan(project, dataset) or _plan(project, dataset)
    if is_first:
        _tell(plan, dataset)
    if is_first and not (project.run / "state.pt").exists() and (warning := probe(plan, dataset)):
        say(f"train: warning: {warning}")
    console = Console()
    chosen: Chosen | None = None
    try:
        with WorkerJudge(project.model_dir, project.whisper_weights) as judge:
            chosen = run_training(plan, dataset, project.run, console, judge)
    finally:
        if is_first:
            write_page(project, chosen)


def write_page(project: Project, chosen: Chosen | None = None) -> None:
    """Write training.html from what the run's folder has."""
    sentence = f"Epoch {chosen.epoch} is chosen: {chosen.reason}." if chosen else ""
    steps = []
    if (project.run / "progress.jsonl").exists():
        for line in (project.run / "progress.jsonl").read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            steps.append(Progress(**{**values, "losses": Losses(**values["losses"])}))
    text = training_page(project.name, read_history(project.run), steps, sentence, project.run / "samples")
    write_text(project.folder / "training.html", text)


class Console:
    """Tells the events of a training on the terminal."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        """Tell one event; of steps, one every few seconds and the last."""
        if isinstance(event, Planned):
            at = f", going on at step {event.step}" if event.step else ""
            say(f"train: {event.steps} steps, {event.trained_parameters / 1e6:,.1f} million weights{at}")
        elif isinstance(event, Progress):
            now = time.monotonic()
            if now - self._last >= _EVERY or event.step == event.steps:
                self._last = now
                say(
                    f"train: step {event.step} of {event.steps}, losses {event.losses.talker:.3f} and "
                    f"{event.losses.predictor:.3f}, {event.frames_per_second:,.0f} frames/s, "
                    f"{duration(event.seconds_left)} left"
                )
        elif isinstance(event, Evaluated):
            say(f"train: {scores_line(event.scores)}")
        elif isinstance(event, Chosen):
            say(f"train: epoch {event.epoch} is chosen: {event.reason}")
        elif isinstance(event, Warned):
            say(f"train: warning: {event.text}")


def _plan(project: Project, dataset: Dataset) -> TrainingPlan:
    """Return the best plan for the memory that is free."""
    cuda = torch.cuda.is_available()
    start = choose(project.options, project.model_dir, gpu=cuda)
    memory = torch.cuda.mem_get_info()[0] if cuda else None
    bf16 = cuda and torch.cuda.get_device_capability() >= (8, 0)
    plan = make_plan(start.folder, dataset, memory, bf16=bf16, **_chosen(project, dataset))
    needed, free = disk_needed(plan), shutil.disk_usage(project.folder).free
    if free < needed:
        raise FineTuningError(
            f"no space left: {project.folder} has {free / _GB:.1f} GB, and this training takes {needed / _GB:.1f}: "
            "free some, or name another folder with --work"
        )
    return plan


def _chosen(project: Project, dataset: Dataset) -> dict[str, Any]:
    """Return the fields of the plan that the user has set."""
    options = project.options
    clips = dataset.training
    frames = dataset.frames(clips) / len(clips)
    chosen = {
        "epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "method": options.method or None,
        "frames_per_step": round(options.batch_clips * frames) if options.batch_clips else None,
        "seed": options.seed,
    }
    return {name: value for name, value in chosen.items() if value is not None}


def _former_plan(project: Project, dataset: Dataset) -> TrainingPlan | None:
    """Return the plan of the run that is to go on: what is free now may be less. Raises `FineTuningError`."""
    try:
        record: Mapping[str, Any] = json.loads((project.run / "plan.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    former = record["plan"]
    changed = [name for name, value in _chosen(project, dataset).items() if former.get(name) != value]
    start = choose(project.options, project.model_dir, gpu=torch.cuda.is_available())
    changed += ["base"] * (Path(former["start"]) != start.folder)
    changed += ["recordings"] * (record["data"] != dataset.hash())
    if changed:
        raise FineTuningError(f"{', '.join(changed)} changed since this training began: train anew with --again")
    return TrainingPlan(**{**former, "start": Path(former["start"]), "sentences": tuple(former["sentences"])})


def _tell(plan: TrainingPlan, dataset: Dataset) -> None:
    """Tell the plan, and the memory that it needs."""
    seconds = dataset.frames(dataset.training) / FRAME_RATE
    say(f"train: {plan.start.name}, {plan.method}, rate {plan.learning_rate:g}, {duration(seconds)} of speech")
    say(f"train: memory, as the shapes say:\n{estimate(plan)}")


if __name__ == "__main__":
    sys.exit(run(train))
