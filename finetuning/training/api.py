"""The functions that commands call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from finetuning.dataset import Dataset
from finetuning.events import Chosen, Event, Scores
from finetuning.plan import TrainingPlan

OnEvent = Callable[[Event], None]


class Judge(Protocol):
    """Ears for what a checkpoint speaks. `finetuning.judge.WorkerJudge` is one, in an environment of its own."""

    def transcribe(self, audio: Sequence[NDArray[np.float32]], language: str) -> list[str]:
        """Return the text of each recording, samples at 24 kHz; `language` as in `Clip`."""

    def embed(self, audio: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return a speaker embedding of unit length for each recording, (recordings, n)."""


def probe(plan: TrainingPlan, dataset: Dataset) -> None:
    """Raise `FineTuningError` unless the untouched start predicts the aligned codes better than shifted ones.

    It takes seconds and finds a shift of rows, labels or hidden states in this code or another version of the package.
    `train` calls it first.
    """
    raise NotImplementedError


def train(plan: TrainingPlan, dataset: Dataset, out: Path, on_event: OnEvent, judge: Judge | None = None) -> Chosen:
    """Train into the run's folder `out`, or resume what is there, and choose an epoch.

    After a `KeyboardInterrupt` (which is raised again once the state is saved) or a crash, a call with the same
    arguments goes on; the result is that of an uninterrupted run. Under `accelerate launch`, every process calls it;
    only the first reports events. Raises `FineTuningError`: no space left, another plan or data set than the run's...
    """
    raise NotImplementedError


def evaluate(checkpoint: Path, dataset: Dataset, out: Path, judge: Judge | None = None) -> Scores:
    """Judge a checkpoint (exported, or published with the data set's speakers) by the held-out clips.

    Its sentences are written below `out`.
    """
    raise NotImplementedError


def export(run: Path, dataset: Dataset, folder: Path, epoch: int | None = None) -> None:
    """Write the checkpoint of an epoch (None: the chosen one) as a CustomVoice checkpoint in `folder`.

    LoRA is merged in fp32. The folder appears when it is complete and was read back; raises `FineTuningError` if it
    exists, or no space is left.
    """
    raise NotImplementedError
