"""The step `check`: a report of what is wrong with the clips. Errors stop the fine-tuning."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from finetuning import checks, clip_table
from finetuning.checks import Measured, Problem
from finetuning.errors import FineTuningError
from finetuning.progress import Progress, say
from finetuning.project import Project
from finetuning.recordings.audio import at_listen_rate
from finetuning.report import Report
from finetuning.steps.run import run
from finetuning.wav import Samples, read_wav
from gateway.core.speaker_encoder import SHORTEST, SpeakerEncoder
from tritone.contract import SPEECH_RATE

_SHOWN = 10


def check(project: Project) -> None:
    """Write the report; raises `FineTuningError` if there are errors."""
    rows = clip_table.read(project.table)
    encoder = SpeakerEncoder(project.model_dir)
    progress = Progress("check", len(rows))
    clips: list[Measured] = []
    problems: list[Problem] = []
    embeddings: list[NDArray[np.float32] | None] = []
    for row in rows:
        samples = read_wav(project.folder / row.audio)
        clips.append(checks.measure(row, samples))
        problems += checks.of_clip(clips[-1])
        embeddings.append(None if encoder.missing else _embedding(encoder, samples))
        progress.advance(1)
    problems += checks.of_all(clips)
    problems += checks.of_speakers(rows, embeddings)
    if encoder.missing:
        problems.append(Problem("warning", "speaker", f"speakers were not compared: {encoder.missing}"))
    report = Report(project.name, clips, problems)
    page = report.write(project.folder)
    errors = [problem for problem in problems if problem.level == "error"]
    for line in _lines(problems):
        say(f"check: {line}")
    say(f"check: {len(errors)} errors, {len(problems) - len(errors)} warnings, the report is {page}")
    if errors:
        raise FineTuningError(f"correct the errors above in {project.table}, and run it again")


def _embedding(encoder: SpeakerEncoder, samples: Samples) -> NDArray[np.float32] | None:
    if len(samples) < SHORTEST * SPEECH_RATE or not samples.any():
        return None
    return encoder.encode(at_listen_rate(samples))


def _lines(problems: list[Problem]) -> Iterator[str]:
    """Yield lines for the terminal: errors first, and of each kind only some."""
    kinds = dict.fromkeys((problem.level, problem.kind) for problem in problems)
    for level, kind in sorted(kinds):
        found = [problem for problem in problems if (problem.level, problem.kind) == (level, kind)]
        for problem in found[:_SHOWN]:
            yield f"{level}: {problem.clip + ': ' if problem.clip else ''}{problem.text}"
        if len(found) > _SHOWN:
            yield f"{level}: {kind}: {len(found) - _SHOWN} more clips, see the report"


if __name__ == "__main__":
    sys.exit(run(check))
