"""The functions that commands call."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.inflight.precision import AMPERE
from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.events import Chosen, Event, Scores, Warned
from finetuning.plan import TrainingPlan
from finetuning.training.alignment import check_alignment, check_rows
from finetuning.training.checkpoints import copy_checkpoint
from finetuning.training.evaluation import Evaluation
from finetuning.training.run import CHOSEN, EPOCHS, Run
from finetuning.training.start import Start

OnEvent = Callable[[Event], None]


class Judge(Protocol):
    """Ears for what a checkpoint speaks. `finetuning.judge.WorkerJudge` is one, in an environment of its own."""

    def transcribe(self, audio: Sequence[NDArray[np.float32]], language: str) -> list[str]:
        """Return the text of each recording, samples (n,) at 24 kHz; `language` as in `Clip`."""

    def character_errors(self, heard: str, meant: str) -> tuple[int, int]:
        """Return the wrong characters, and the characters of `meant`, without punctuation, case and spaces."""

    def embed(self, audio: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return a speaker embedding of unit length for each recording, (recordings, n)."""


@dataclass(frozen=True)
class Hardware:
    """The device that training would use, for `make_plan`."""

    memory: int | None
    """Free bytes of the GPU; None without one."""
    bf16: bool


def hardware() -> Hardware:
    """Query torch for the first GPU."""
    if not torch.cuda.is_available():
        return Hardware(None, bf16=False)
    free, _ = torch.cuda.mem_get_info()
    return Hardware(free, bf16=torch.cuda.get_device_capability() >= AMPERE)


def probe(plan: TrainingPlan, dataset: Dataset) -> str:
    """Prove that training will teach what the server asks for; return a warning, or nothing.

    The rows of the first clips must equal the server's prompts, and the untouched start must predict the taught codes
    better than shifted ones. That takes seconds and finds a shift of rows, labels or hidden states in this code or
    another version of the package. Raises `FineTuningError`.
    """
    start = Start.read(plan.start, dataset)
    talker = start.load(dataset, _device(), text_dtype=torch.float32).eval()
    check_rows(talker, dataset, start)
    return check_alignment(talker, dataset, start)


def train(plan: TrainingPlan, dataset: Dataset, out: Path, on_event: OnEvent, judge: Judge | None = None) -> Chosen:
    """Train into the run's folder `out`, or resume what is there, and choose an epoch.

    After a `KeyboardInterrupt` (Ctrl-C or SIGTERM; it is raised again once the state is saved) or a crash, a call with
    the same arguments goes on; the result is that of an uninterrupted run. Under `accelerate launch`, every process
    calls it; only the first reports events. `probe` comes first: call it, unless the run is resumed. Raises
    `FineTuningError`: no space left, another plan or data set than the run's...
    """
    return Run(plan, dataset, out, on_event, judge).train()


def evaluate(
    checkpoint: Path,
    dataset: Dataset,
    out: Path,
    judge: Judge | None = None,
    *,
    sentences: Sequence[str] = (),
    on_event: OnEvent = lambda _: None,
) -> Scores:
    """Judge an exported checkpoint by the held-out clips; its sentences are written into `out`.

    `sentences`: texts to speak; empty: those of the held-out clips. Raises `FineTuningError`.
    """
    start = Start.read(checkpoint, dataset)
    if start.new_speakers:
        raise FineTuningError(
            f"{checkpoint} has no voice {start.new_speakers[0]!r}: give the checkpoint of this data set"
        )
    device = _device()
    evaluation = Evaluation(
        dataset,
        start,
        device,
        judge,
        precision="bf16" if device.type == "cuda" else "fp32",
        sentences=sentences,
        warn=lambda text: on_event(Warned(text)),
    )
    talker = start.load(dataset, device, text_dtype=torch.float32)
    losses = evaluation.losses(talker)
    del talker
    return Scores(checkpoint.name, 0, 0.0, losses, evaluation.listen(checkpoint, out))


def export(run: Path, folder: Path, epoch: int | None = None) -> None:
    """Write the checkpoint of an epoch (None: the chosen one) as a CustomVoice checkpoint in `folder`.

    The folder appears when it is complete and was read back. Raises `FineTuningError` if it exists, if the run has not
    ended or does not have the epoch, or if no space is left.
    """
    if epoch is None:
        try:
            epoch = int(json.loads((run / CHOSEN).read_text(encoding="utf-8"))["epoch"])
        except FileNotFoundError:
            raise FineTuningError(f"{run} has no chosen epoch: train to the end, or name an epoch") from None
    source = run / EPOCHS / str(epoch)
    if not source.is_dir():
        kept = ", ".join(sorted(path.name for path in (run / EPOCHS).glob("[0-9]*"))) or "none"
        raise FineTuningError(f"{run} has no checkpoint of epoch {epoch}; choose one of: {kept}")
    copy_checkpoint(source, folder)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
