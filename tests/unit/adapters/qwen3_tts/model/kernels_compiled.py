"""Compile every kernel at its launch, for a GPU that need not exist, and print a line for each.

    python -m tests.unit.adapters.qwen3_tts.model.kernels_compiled CAPABILITY TYPE

A line has the kernel's name, and the number of products of TYPE that were fused with a sum, which skips a rounding.
This is a process of its own, because the language reads only once if kernels are to be interpreted.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from adapters.qwen3_tts.inflight.codec.kernels import FusedNormedDepthwise, FusedPast, FusedSnakeBeta
from adapters.qwen3_tts.inflight.codec.state import Layout, StateArena
from adapters.qwen3_tts.inflight.model.kernels.activation import silu_mul
from adapters.qwen3_tts.inflight.model.kernels.attention import attend
from adapters.qwen3_tts.inflight.model.kernels.norm import add_norm
from adapters.qwen3_tts.inflight.model.kernels.rotary import rotate_and_store
from adapters.qwen3_tts.inflight.model.kernels.sampling import FirstCodeRules, FusedRowSampler
from adapters.qwen3_tts.inflight.model.row_sampler import RowSampler

FUSED = {"bf16": "bf16", "fp16": "f16", "fp32": "f32"}
"""The types' names in the assembly."""
SLOTS, POSITIONS, BOOKS, HEADS, KEY_VALUE_HEADS, DIM = 3, 96, 16, 16, 8, 128


def launch_all(dtype: torch.dtype) -> None:
    """Launch every kernel in every variant, in the shapes of the published 1.7B checkpoints."""
    hidden, intermediate = 2048, 6144
    for rows in (1, 64):
        slots, positions = torch.zeros(2, rows, dtype=torch.int64)
        x, weight = torch.zeros(rows, hidden, dtype=dtype), torch.zeros(hidden, dtype=dtype)
        add_norm(x, None, weight, 1e-6)
        add_norm(x, x, weight, 1e-6)
        silu_mul(torch.zeros(rows, 2 * intermediate, dtype=dtype))
        cache = torch.zeros(SLOTS, POSITIONS, 2 * KEY_VALUE_HEADS, DIM, dtype=dtype)
        qkv = torch.zeros(rows, HEADS + 2 * KEY_VALUE_HEADS, DIM, dtype=dtype)
        norm, table = torch.zeros(HEADS + KEY_VALUE_HEADS, DIM, dtype=dtype), torch.zeros(POSITIONS, DIM, dtype=dtype)
        rotate_and_store(qkv, norm, table, table, cache, slots, positions, 1e-6)
        for reach in (POSITIONS, BOOKS):
            attend(qkv[:, :HEADS], cache[:, :reach], slots, positions)
        for vocabulary in (2048, 3072):
            scores = torch.zeros(rows, vocabulary, dtype=dtype)
            sampler = FusedRowSampler(RowSampler(rows, vocabulary, scores.device), slots, 15 * 2048 + 3072)
            sampler.draw(scores, positions, 0)
            seen = torch.zeros(SLOTS, vocabulary, dtype=torch.bool)
            counters = torch.zeros(rows, 3, dtype=torch.int64)
            penalty = torch.ones(rows, 1)
            rules = FirstCodeRules(seen, slots, penalty, counters[:, 2], slots, end=2150, control=vocabulary - 1024)
            sampler.draw(scores, counters[:, 1], 15 * 2048, rules)
        launch_codec(rows, dtype)


def launch_codec(rows: int, dtype: torch.dtype) -> None:
    """Launch the codec's kernels, in the shapes of its first and last layers."""
    for width, taps, time in ((1024, 7, 8), (1536, 2, 8), (96, 7, 3840)):
        layout = Layout()
        part = layout.reserve(taps - 1, width)
        arena = StateArena(layout, SLOTS, device=torch.device("cpu"), dtype=dtype)
        slots, x = torch.zeros(rows, dtype=torch.int64), torch.zeros(rows, time, width, dtype=dtype)
        past = FusedPast(arena, slots, 2)
        number = torch.zeros(width)
        FusedNormedDepthwise(torch.zeros(taps, width, dtype=dtype), number.to(dtype), part, 1e-6)(x, past)
        for snake in (FusedSnakeBeta(number, number), FusedSnakeBeta(number, number, number)):
            past.extend(part, x, snake)
            snake(x)


def main(capability: str, kind: str) -> None:
    """Compile and print."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[kind]
    target = GPUTarget("cuda", int(capability), 32)
    driver: Any = SimpleNamespace(
        get_current_device=lambda: 0, get_current_stream=lambda _: 0, get_current_target=lambda: target
    )
    triton.runtime.driver.set_active(driver)
    run = JITFunction.run

    def compile_alone(kernel: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        compiled = run(kernel, *args, grid=grid, warmup=True, **options)
        assembly = compiled.asm["ptx"]
        assert compiled.asm["cubin"]
        print(kernel.__name__, assembly.count(f"fma.rn.{FUSED[kind]}"))

    JITFunction.run = compile_alone
    launch_all(dtype)


if __name__ == "__main__":
    main(*sys.argv[1:])
