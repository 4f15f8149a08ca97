"""Optimiser steps on all processes, and losses without training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from finetuning.dataset import CODEBOOKS
from finetuning.events import Losses
from finetuning.plan import Precision, TrainingPlan
from finetuning.training.batches import Step, pack
from finetuning.training.learner import Learner, learning_rate
from finetuning.training.losses import LossSums, losses
from finetuning.training.rows import Rows


def make_accelerator() -> Accelerator:
    """Return the device of this process and its group: one process, or those that `accelerate launch` started."""
    # The precision is ours: Accelerate's is one for a whole process, and bfloat16 needs nothing but autocast.
    return Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which a model computes in `precision`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@dataclass(frozen=True, eq=False)
class Stepper:
    """Runs optimiser steps. Each process takes every n-th batch of a step."""

    plan: TrainingPlan
    learner: Learner
    end: int
    """The code that ends speech."""
    group: Accelerator

    def run(self, step: Step, number: int, steps: int) -> Losses:
        """Run step `number` (from 0) of `steps`; return the losses over all its targets, before the update."""
        drawn = [self._drawn(number, index, made) for index, made in enumerate(step.batches)]
        talker_count, predictor_count = step.targets, (CODEBOOKS - 1) * sum(map(len, drawn))
        sums = _no_sums(self.group.device)
        for index in range(self.group.process_index, len(step.batches), self.group.num_processes):
            batch = pack(step.batches[index], self.end).to(self.group.device)
            with autocast(self.group.device, self.plan.precision):
                made = losses(self.learner.talker, batch, drawn[index].to(self.group.device))
            weight = self.plan.predictor_weight
            self.group.backward(made.talker / talker_count + weight * made.predictor / predictor_count)
            sums += _detached(made)
        if self.group.num_processes > 1:
            self._sum_gradients()
            sums = self.group.reduce(sums, "sum")
        self.learner.update(learning_rate(self.plan, number, steps))
        return _means(sums, talker_count, predictor_count)

    def _drawn(self, number: int, index: int, made: Sequence[Rows]) -> Tensor:
        """Return the frames of a batch that the code predictor learns from."""
        frames = sum(len(rows.codes) for rows in made)
        if self.plan.predictor_share >= 1:
            return torch.arange(frames)
        chance = np.random.default_rng([self.plan.seed, number, index])
        chosen = chance.choice(frames, max(1, round(self.plan.predictor_share * frames)), replace=False)
        return torch.from_numpy(np.sort(chosen))

    def _sum_gradients(self) -> None:
        """Sum the gradients of all processes: each has divided its part by the counts of all."""
        for weight in self.learner.trained.values():
            if weight.grad is None:  # this process had no batch
                weight.grad = torch.zeros_like(weight)
            weight.grad = self.group.reduce(weight.grad, "sum")


def mean_losses(talker: Any, batches: Iterable[Sequence[Rows]], end: int, precision: Precision) -> Losses | None:
    """Return the losses over all targets of `batches`, without training; None without any."""
    device = talker.codec_head.weight.device
    sums, talker_count, predictor_count = _no_sums(device), 0, 0
    was_training = talker.training
    talker.eval()
    try:
        with torch.no_grad(), autocast(device, precision):
            for rows in batches:
                made = losses(talker, pack(rows, end).to(device))
                sums += _detached(made)
                talker_count += made.talker_count
                predictor_count += made.predictor_count
    finally:
        talker.train(was_training)
    return _means(sums, talker_count, predictor_count) if talker_count else None


def _no_sums(device: torch.device) -> Tensor:
    return torch.zeros(4, device=device, dtype=torch.float64)


def _detached(made: LossSums) -> Tensor:
    """Return talker, predictor, and the numbers of right guesses of both, (4,)."""
    parts = (made.talker, made.predictor, made.talker_right, made.predictor_right)
    return torch.stack([part.detach().double() for part in parts])


def _means(sums: Tensor, talker_count: int, predictor_count: int) -> Losses:
    talker, predictor, talker_right, predictor_right = sums.tolist()
    return Losses(
        talker / talker_count,
        predictor / predictor_count,
        talker_right / talker_count,
        predictor_right / predictor_count,
    )
