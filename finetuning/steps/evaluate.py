"""The step `evaluate`: judge the exported checkpoint."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.events import Event, Warned
from finetuning.judge import WorkerJudge
from finetuning.progress import say
from finetuning.project import Project
from finetuning.steps.run import run
from finetuning.training import evaluate as judge_checkpoint
from finetuning.training_page import scores_line
from tritone.whole_file import write_text


def evaluate(project: Project) -> None:
    """Write evaluation.json."""
    if not project.checkpoint.exists():
        raise FineTuningError(f"{project.checkpoint} is missing: run scripts/finetune export {project.name} first")
    dataset = Dataset.read(project.dataset)
    with WorkerJudge(project.model_dir, project.whisper_weights) as judge:
        scores = judge_checkpoint(project.checkpoint, dataset, project.folder / "samples", judge, on_event=_warn)
    write_text(project.folder / "evaluation.json", json.dumps(asdict(scores), indent=2) + "\n")
    say(f"evaluate: {scores_line(scores)}")


def _warn(event: Event) -> None:
    if isinstance(event, Warned):
        say(f"evaluate: warning: {event.text}")


if __name__ == "__main__":
    sys.exit(run(evaluate))
