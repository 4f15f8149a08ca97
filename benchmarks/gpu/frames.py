"""The time of a frame by the number of streams, its parts, and its ratio to the time of reading the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights
from benchmarks.gpu.rig import CHUNK_SCHEDULE, Progress, Rig, audio_seconds, buckets
from benchmarks.gpu.steps import Step
from benchmarks.gpu.timing import captured, host_milliseconds, kernels, milliseconds, synchronize

SHARES = (1, 64, 16)
"""Numbers of streams for which a frame is divided into parts, the most valuable first."""
TRACED = (1, 64)
"""Numbers of streams for which the kernels are written to a file, for a browser's trace viewer."""
_TIMES = 20


def steps(rig: Rig) -> Iterator[Step]:
    """Measure all on one stepper, with as many slots as the largest batch."""
    most = rig.options.pick(128, 4)
    stepper = rig.stepper(most)
    yield Step("capture", 40, lambda: _capture(rig, stepper, most))
    for rows in sorted(buckets(most), key=lambda rows: (rows not in SHARES, rows)):
        yield Step(f"{rows}", 3, partial(_frame, rig, stepper, rows))
    for rows in rig.options.pick(SHARES, (1, 4)):
        yield Step(f"{rows}, shares", 8, partial(_shares, rig, stepper, rows))
    for rows in rig.options.pick(TRACED, (1,)):
        yield Step(f"{rows}, kernels", 8, partial(_kernels, rig, stepper, rows))


def _capture(rig: Rig, stepper: FrameStepper, most: int) -> dict[str, Any]:
    """Capture all graphs, as at load."""
    codec = rig.codec(most)
    frames = host_milliseconds(rig.device, lambda: stepper.capture(Progress("frames")), 1) / 1e3
    audio = host_milliseconds(rig.device, lambda: codec.capture(CHUNK_SCHEDULE.sizes, Progress("audio")), 1) / 1e3
    taken = torch.cuda.memory_reserved(rig.device) if rig.device.type == "cuda" else 0
    return {
        "graphs": len(stepper._runner._graphs) + len(codec._graphs),
        "frames_s": round(frames, 2),
        "codec_s": round(audio, 2),
        "reserved_gb": round(taken / 2**30, 2),
    }


@contextmanager
def _running(rig: Rig, stepper: FrameStepper, rows: int) -> Iterator[list[int]]:
    """Run so many streams, prefilled."""
    slots = list(range(rows))
    for slot in slots:
        prepared = rig.prepared(slot)
        stepper.start(slot, prepared.prompt, prepared.sampling)
    yield slots
    synchronize(rig.device)
    for slot in slots:
        stepper.release(slot)


def _frame(rig: Rig, stepper: FrameStepper, rows: int) -> dict[str, Any]:
    with _running(rig, stepper, rows) as slots:
        frame = milliseconds(rig.device, lambda: stepper.step(slots), _TIMES)
        host = host_milliseconds(rig.device, lambda: stepper.step(slots), _TIMES)
    figures = {"frame_ms": frame, "host_ms": host, "times_real_time": rows * audio_seconds(1) * 1e3 / frame}
    return {name: round(value, 4) for name, value in figures.items()} | {"bytes": _bytes(rig, rows)}


def _bytes(rig: Rig, rows: int) -> int:
    """Return the least bytes that a frame reads: the talker's weights once, the predictor's once per code, and the
    keys."""
    weights, prompt = rig.weights, len(rig.prepared(0).prompt.embeddings)
    talker = _size(weights.talker) + weights.codec_head.nbytes
    stack = weights.talker
    position = 2 * len(stack.layers) * stack.key_value_heads * stack.head_dim * weights.codec_head.itemsize
    return int(talker + _predictor_bytes(rig) + rows * (prompt + 3 * _TIMES) * position)


def _predictor_bytes(rig: Rig) -> int:
    heads = rig.weights.predictor_heads
    return _size(rig.weights.predictor) * len(heads) + sum(int(head.nbytes) for head in heads)


def _size(stack: DecoderWeights) -> int:
    matrices = [[layer.qkv, layer.attention_out, layer.gate_up, layer.down] for layer in stack.layers]
    return sum(matrix.nbytes for layer in matrices for matrix in layer)


def _shares(rig: Rig, stepper: FrameStepper, rows: int) -> dict[str, float]:
    """Return the milliseconds of each part of a frame, repeated alone; the codec's are those of a chunk, divided by its
    frames.

    `rest` is the remaining time of the frame: embeddings, text rows, bookkeeping, and waits between the parts.
    """
    with _running(rig, stepper, rows) as slots, torch.inference_mode():
        whole = milliseconds(rig.device, lambda: stepper.step(slots), _TIMES)
        parts = {
            name: milliseconds(rig.device, captured(rig.device, work), _TIMES)
            for name, work in _parts(stepper, slots).items()
        }
    size = CHUNK_SCHEDULE.sizes[-1]
    codec, codes = rig.codec(rows), np.zeros((rows, size, 16), np.int64)

    def decode() -> None:
        codec.decode(slots, codes).wait()

    decode()
    chunk = host_milliseconds(rig.device, decode, 5)
    figures = {
        "frame": whole,
        **parts,
        "rest": whole - sum(parts.values()),
        "codec": chunk / size,
        "codec_chunk": chunk,
    }
    return {f"{name}_ms": round(value, 4) for name, value in figures.items()} | {
        "predictor_bytes": _predictor_bytes(rig)
    }


def _parts(stepper: FrameStepper, slots: list[int]) -> dict[str, Callable[[], object]]:
    """Return the parts of a frame, each as the frame runs it."""
    runner, batch = stepper._runner, stepper._batch(slots)
    talker, sampler = runner._talker, runner._sampler
    hidden = talker.hidden(batch.slots)
    code = torch.zeros_like(batch.slots)
    position = torch.full_like(batch.slots, stepper.positions // 4)
    heads = torch.randn(batch.rows, len(stepper._weights.predictor_heads[0])).to(hidden)
    first = talker.scores(hidden)

    def draws() -> None:
        noise = sampler.noise(batch, position)
        for book in range(1, len(stepper._weights.code_embeddings)):
            sampler.draw_other(batch, book, heads, noise)
        sampler.draw_first(batch, first, position, noise)

    def given(book: int, scores: Tensor) -> Tensor:
        return code

    return {
        "predictor": lambda: runner._predictor.complete(hidden, code, given),
        "talker": lambda: talker.scores(talker.step(hidden, batch, position, stepper.positions // 4 + 1)),
        "sampling": draws,
    }


def _kernels(rig: Rig, stepper: FrameStepper, rows: int) -> dict[str, Any]:
    trace = rig.options.out.with_name(f"{rig.options.out.stem}-{rig.size}-{rows}.trace.json")
    with _running(rig, stepper, rows) as slots:
        return kernels(rig.device, lambda: stepper.step(slots), None if rig.options.quick else trace)
