"""The step `prepare`: recordings into clips with texts."""

from __future__ import annotations

import sys

from finetuning.project import Project
from finetuning.recordings.prepare import Preparation
from finetuning.steps.run import run
from tritone.catalogue import Catalogue


def prepare(project: Project) -> None:
    """Prepare the project's recordings."""
    model = Catalogue.load().models.get(project.options.whisper)
    Preparation(project, model.weights if model else project.options.whisper).run()


if __name__ == "__main__":
    sys.exit(run(prepare))
