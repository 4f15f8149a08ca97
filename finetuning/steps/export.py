"""The step `export`: the chosen epoch as a CustomVoice checkpoint."""

from __future__ import annotations

import shutil
import sys

from finetuning.errors import FineTuningError
from finetuning.progress import say
from finetuning.project import Project
from finetuning.steps.run import run
from finetuning.training import export as export_epoch
from tritone.folder_swap import put_in_place


def export(project: Project) -> None:
    """Write the project's checkpoint, in place of an earlier one."""
    if not project.run.exists():
        raise FineTuningError(f"{project.run} is missing: run scripts/finetune train {project.name} first")
    fresh = project.folder / ".checkpoint.new"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        export_epoch(project.run, fresh)
        put_in_place(fresh, project.checkpoint)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    say(f"export: {project.checkpoint}")


if __name__ == "__main__":
    sys.exit(run(export))
