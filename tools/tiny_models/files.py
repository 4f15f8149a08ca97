"""Safetensors files, written while their tensors are still drawn: the largest do not fit twice into memory."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16"}
_WRITERS = 4
_AHEAD = 2 * _WRITERS
"""Tensors that may wait for a writer."""


def write_safetensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, values: Iterator[tuple[str, Tensor]]
) -> None:
    """Write `values`, in any order, one for each of `shapes`, in `dtype`; they may be on any device."""
    offsets, end = {}, 0
    for name, shape in shapes.items():
        offsets[name] = end
        end += math.prod(shape) * dtype.itemsize
    entries = {
        name: {
            "dtype": _NAMES[dtype],
            "shape": list(shape),
            "data_offsets": [offsets[name], offsets[name] + math.prod(shape) * dtype.itemsize],
        }
        for name, shape in shapes.items()
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    # Aligned like torch's own memory: products of weights that stay mapped from the file would round differently.
    header += b" " * (-(8 + len(header)) % 64)
    with path.open("wb") as file, ThreadPoolExecutor(_WRITERS) as writers:
        start = file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(start + end)  # its full length, before the first write into its middle
        file.flush()
        jobs: list[Future[None]] = []
        for name, value in values:
            jobs.append(writers.submit(_put, file.fileno(), start + offsets[name], value.to(dtype)))
            if len(jobs) > _AHEAD:
                jobs.pop(0).result()
        for job in jobs:
            job.result()


def _put(file: int, offset: int, value: Tensor) -> None:
    """Write a tensor's numbers at an offset."""
    left = memoryview(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
    while left:
        written = os.pwrite(file, left, offset)
        left, offset = left[written:], offset + written
