"""The program of each of several processes that train together: START DATASET RUN."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3] / "stand_ins"))

import torch

from finetuning.dataset import Dataset
from finetuning.training import train
from tests.unit.finetuning.training.tiny import plan_of

CHOSEN: Mapping[str, Any] = {"epochs": 2, "frames_per_step": 20, "rows_per_batch": 90, "learning_rate": 1e-3}
"""Steps of several batches."""


def main(start: str, dataset: str, run: str) -> None:
    torch.set_num_threads(1)
    train(plan_of(Path(start), **CHOSEN), Dataset.read(Path(dataset)), Path(run), print)


if __name__ == "__main__":
    main(*sys.argv[1:])
