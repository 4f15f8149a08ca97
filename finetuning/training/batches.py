"""Clips to batches: drawn by a seed, filled by rows, packed without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.plan import TrainingPlan
from finetuning.training.rows import NONE, Rows, rows_of
from finetuning.training.start import Start


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips one after another in one sequence; positions begin again with each, so that none attends to another."""

    text: Tensor
    """Text tokens (rows,), `NONE` where there is none."""
    code: Tensor
    """Codes of codebook 0 and control codes (rows,), `NONE` where there is none."""
    rest: Tensor
    """Codes of codebooks 1 to 15 (rows, 15) on the rows of frames, else `NONE`."""
    positions: Tensor
    """The position of each row in its clip (rows,)."""
    asked: Tensor
    """The rows whose hidden states give a code of codebook 0 or the end (targets,)..."""
    targets: Tensor
    """...and these codes (targets,)."""
    frame_rows: Tensor
    """The rows whose hidden states the code predictor reads (frames,)..."""
    codes: Tensor
    """...and their frames (frames, 16)."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def pack(made: Sequence[Rows], end: int) -> Batch:
    """Return one batch of several clips. `end`: the code that ends speech."""
    text = torch.tensor([token for rows in made for token in rows.text])
    code = torch.tensor([code for rows in made for code in rows.code])
    codes = torch.from_numpy(np.concatenate([rows.codes for rows in made]).astype(np.int64))
    offsets = np.cumsum([0, *map(len, made)])[:-1].tolist()
    frame_rows = [offset + rows.first + k for offset, rows in zip(offsets, made, strict=True) for k in _frames(rows)]
    ends = [offset + len(rows) - 1 for offset, rows in zip(offsets, made, strict=True)]
    rest = torch.full((len(text), codes.shape[1] - 1), NONE)
    where = torch.tensor(frame_rows)
    rest[where + 1] = codes[:, 1:]
    return Batch(
        text=text,
        code=code,
        rest=rest,
        positions=torch.cat([torch.arange(len(rows)) for rows in made]),
        asked=torch.cat([where, torch.tensor(ends)]),
        targets=torch.cat([codes[:, 0], torch.full((len(made),), end)]),
        frame_rows=where,
        codes=codes,
    )


def pack_by_rows(made: Sequence[Rows], limit: int) -> list[list[Rows]]:
    """Return groups of at most `limit` rows: the longest clips first, each into the first group with room."""
    groups: list[list[Rows]] = []
    sizes: list[int] = []
    for rows in sorted(made, key=len, reverse=True):
        place = next((i for i, size in enumerate(sizes) if size + len(rows) <= limit), None)
        if place is None:
            groups.append([rows])
            sizes.append(len(rows))
        else:
            groups[place].append(rows)
            sizes[place] += len(rows)
    return groups


@dataclass(frozen=True)
class Step:
    """The clips of an optimiser step."""

    epoch: int
    """From 0."""
    is_last: bool
    """True for the last step of its epoch."""
    batches: Sequence[Sequence[Rows]]
    """Each is one forward pass."""

    @property
    def frames(self) -> int:
        """Codec frames of all batches."""
        return sum(len(rows.codes) for batch in self.batches for rows in batch)

    @property
    def targets(self) -> int:
        """Targets of codebook 0: the frames and the ends."""
        return sum(len(rows.codes) + 1 for batch in self.batches for rows in batch)


class StepPlan:
    """The steps of a training. The same seed gives the same steps, on every process and after a resumption."""

    def __init__(self, plan: TrainingPlan, dataset: Dataset, start: Start) -> None:
        """Raises `FineTuningError` for a clip that is longer than a batch."""
        self._plan = plan
        self._dataset = dataset
        self._start = start
        longest = max(dataset.training, key=lambda clip: len(self._rows(clip, False, False)))
        if (rows := len(self._rows(longest, False, False))) > plan.rows_per_batch:
            raise FineTuningError(
                f"clip {longest.id} has {rows} rows of text and frames, a batch has {plan.rows_per_batch}: "
                "shorten the clip, or choose more rows a batch"
            )
        self.ends: list[int] = []
        """The number of steps at the end of each epoch."""
        for epoch in range(plan.epochs):
            self.ends.append((self.ends[-1] if self.ends else 0) + len(self._groups(epoch)))

    @property
    def steps(self) -> int:
        """The number of steps of the whole training."""
        return self.ends[-1] if self.ends else 0

    def epochs_at(self, step: int) -> float:
        """Return the epochs that are trained after `step` steps."""
        begin = 0
        for epoch, end in enumerate(self.ends):
            if step <= end:
                return epoch + (step - begin) / (end - begin)
            begin = end
        return float(len(self.ends))

    def after(self, step: int) -> Iterator[Step]:
        """Yield the steps that follow the first `step` ones."""
        begin = 0
        for epoch, end in enumerate(self.ends):
            if step < end:
                groups = self._groups(epoch)
                for index in range(max(0, step - begin), len(groups)):
                    yield self._step(epoch, index, groups)
            begin = end

    def _groups(self, epoch: int) -> list[list[Any]]:
        """Return the clips of each step of an epoch."""
        clips = list(self._dataset.training)
        order = np.random.default_rng([self._plan.seed, epoch]).permutation(len(clips))
        groups: list[list[Any]] = [[]]
        frames = 0
        for clip in (clips[i] for i in order):
            if frames >= self._plan.frames_per_step:
                groups.append([])
                frames = 0
            groups[-1].append(clip)
            frames += len(self._dataset.codes[clip.id])
        return groups

    def _step(self, epoch: int, index: int, groups: Sequence[Sequence[Any]]) -> Step:
        chance = np.random.default_rng([self._plan.seed, epoch, index])
        made = [
            self._rows(clip, auto < self._plan.auto_share, streamed < self._plan.streamed_share)
            for clip, (auto, streamed) in zip(groups[index], chance.random((len(groups[index]), 2)), strict=True)
        ]
        return Step(epoch, index == len(groups) - 1, pack_by_rows(made, self._plan.rows_per_batch))

    def _rows(self, clip: Any, auto: bool, streamed: bool) -> Rows:
        return rows_of(clip, self._dataset.codes[clip.id], self._start, auto=auto, streamed=streamed)


def _frames(rows: Rows) -> range:
    return range(len(rows.codes))
