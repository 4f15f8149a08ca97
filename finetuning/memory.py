"""The memory that a training needs, and the plan that fits into what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetuning.dataset import Dataset
from finetuning.plan import TrainingPlan


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training, by part."""

    parts: Mapping[str, int]
    """Description -> bytes, in an order for people."""

    @property
    def total(self) -> int:
        """The bytes of all parts."""
        return sum(self.parts.values())


def estimate(plan: TrainingPlan) -> MemoryEstimate:
    """Return the memory that `plan` needs, from its start's config.json; raises `FineTuningError`."""
    raise NotImplementedError


def make_plan(start: Path, dataset: Dataset, memory: int | None, **chosen: Any) -> TrainingPlan:
    """Return the best plan for `memory` bytes (a GPU's, or None: no limit).

    `chosen`: fields of `TrainingPlan` that the user has set. Raises `FineTuningError`, with the arithmetic, if none
    fits.
    """
    raise NotImplementedError
