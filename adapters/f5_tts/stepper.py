"""Steps of the differential equation for any set of rows: each at its own time, with its own guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from adapters.f5_tts.package import DiT, get_epss_timesteps
from adapters.f5_tts.spectrogram import MELS
from adapters.inflight.cuda_streams import device_tensor

_SWAY: Final = -1.0
"""The published sampling's: more of the steps lie at the beginning."""
_NO_GUIDANCE: Final = 1e-5
"""The package takes weaker guidance for none."""
_LEAST_SHARE: Final = 0.75
"""Rows of a batch have at least this share of the frames of its longest: padding costs as much as speech."""


@dataclass(frozen=True)
class SamplingParams:
    """The parameters of a request's sampling."""

    steps: int
    guidance: float
    seed: int


class Row:
    """A part of a text on its way from noise to a spectrogram."""

    def __init__(self, params: SamplingParams, noise: Tensor, condition: Tensor, text: Tensor, blank: Tensor) -> None:
        """`noise`, `condition` (frames, MELS); `text`, `blank` (frames, text dimension): embeddings with and without
        the text."""
        self.state = noise
        """(frames, MELS) float32."""
        self.condition, self.text, self.blank = condition, text, blank
        self.guidance = params.guidance
        self.step = 0
        self.times = _times(params.steps)
        """(steps + 1,) float32, on the CPU, from 0 to 1."""

    @property
    def frames(self) -> int:
        """The length, that of the reference included."""
        return len(self.state)

    @property
    def is_guided(self) -> bool:
        """False for a row that needs no second pass without text and voice."""
        return self.guidance >= _NO_GUIDANCE

    @property
    def is_done(self) -> bool:
        """True after the last step."""
        return self.step == len(self.times) - 1


class FlowStepper:
    """Makes rows, and advances them."""

    def __init__(self, transformer: DiT, device: torch.device, dtype: torch.dtype, *, batch_frames: int) -> None:
        """`batch_frames`: the most frames of a batch, padding included."""
        self._transformer = transformer
        self._device = device
        self._dtype = dtype
        self._batch_frames = batch_frames
        self._batches: dict[tuple[Row, ...], _Batch] = {}

    def open(self, mel: Tensor, tokens: Sequence[int], frames: int, params: SamplingParams) -> Row:
        """Return the row of a part: `tokens` of `frames` frames, the first of which are the reference's, `mel`."""
        generator = torch.Generator().manual_seed(params.seed)
        noise = torch.randn(frames, MELS, generator=generator)
        condition = torch.zeros(frames, MELS)
        condition[: len(mel)] = mel
        indices = device_tensor([tokens], self._device)
        embed = self._transformer.text_embed
        text, blank = (embed(indices, seq_len=frames, drop_text=drop)[0] for drop in (False, True))
        return Row(params, noise.to(self._device), condition.to(self._device, self._dtype), text, blank)

    def plan(self, rows: Sequence[Row]) -> list[tuple[Row, ...]]:
        """Divide rows into batches of similar length and of the same kind of guidance."""
        batches: list[list[Row]] = []
        for row in sorted(rows, key=lambda row: (row.is_guided, -row.frames)):
            if not (batches and self._fits(row, batches[-1])):
                batches.append([])
            batches[-1].append(row)
        planned = [tuple(batch) for batch in batches]
        self._batches = {rows: self._batches[rows] for rows in planned if rows in self._batches}
        return planned

    def advance(self, rows: tuple[Row, ...]) -> None:
        """Take one step of each of the rows of a planned batch."""
        if rows not in self._batches:
            self._batches[rows] = _Batch(rows)
        batch = self._batches[rows]
        times = device_tensor([row.times[row.step : row.step + 2].tolist() for row in rows], self._device)
        now, then = times.unbind(1)
        network = self._transformer
        network.text_cond, network.text_uncond = batch.text, batch.blank
        try:
            flow = network(
                x=batch.state.to(self._dtype),
                cond=batch.condition,
                text=batch.text,  # not used: the embeddings are known
                time=now.to(self._dtype),
                mask=batch.mask,
                cfg_infer=rows[0].is_guided,
                cache=True,
            ).float()
        finally:
            network.clear_cache()
        if rows[0].is_guided:
            with_text, without = flow.chunk(2)
            flow = with_text + (with_text - without) * batch.guidance
        batch.state += (then - now)[:, None, None] * flow
        for row in rows:
            row.step += 1

    def _fits(self, row: Row, batch: Sequence[Row]) -> bool:
        longest = batch[0].frames
        similar = row.is_guided is batch[0].is_guided and row.frames >= _LEAST_SHARE * longest
        return similar and (len(batch) + 1) * longest <= self._batch_frames


class _Batch:
    """The padded tensors of some rows. The state of each row becomes a part of the batch's."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        device = rows[0].state.device
        self.state = pad_sequence([row.state for row in rows], batch_first=True)
        self.condition = pad_sequence([row.condition for row in rows], batch_first=True)
        self.text = pad_sequence([row.text for row in rows], batch_first=True)
        self.blank = pad_sequence([row.blank for row in rows], batch_first=True)
        self.guidance = device_tensor([row.guidance for row in rows], device)[:, None, None]
        lengths = device_tensor([row.frames for row in rows], device)
        longest = max(row.frames for row in rows)
        self.mask = None
        if any(row.frames != longest for row in rows):
            self.mask = torch.arange(longest, device=device)[None] < lengths[:, None]
        for row, state in zip(rows, self.state, strict=True):
            row.state = state[: row.frames]


def _times(steps: int) -> Tensor:
    """Return the times of the package's sampling, (steps + 1,), from 0 to 1."""
    times: Tensor = get_epss_timesteps(steps, "cpu", torch.float32)
    return times + _SWAY * (torch.cos(torch.pi / 2 * times) - 1 + times)
