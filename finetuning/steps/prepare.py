"""The step `prepare`: recordings into clips with texts."""

from __future__ import annotations

import sys

from finetuning.project import Project
from finetuning.recordings.prepare import Preparation
from finetuning.steps.run import run


def prepare(project: Project) -> None:
    """Prepare the project's recordings."""
    Preparation(project, project.whisper_weights).run()


if __name__ == "__main__":
    sys.exit(run(prepare))
