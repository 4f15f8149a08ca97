"""Each kernel compared with the plain layers; without a GPU the kernels run in the interpreter."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from triton import language as tl
from triton.runtime import interpreter

from adapters.inflight.attention import attend as plain_attend
from adapters.inflight.attention import keys_and_values, rotation_tables
from adapters.inflight.norm import RmsNorm
from adapters.qwen3_tts.inflight.model.kernels import available
from adapters.qwen3_tts.inflight.model.kernels.activation import silu_mul
from adapters.qwen3_tts.inflight.model.kernels.attention import attend
from adapters.qwen3_tts.inflight.model.kernels.decoder import FusedDecoder
from adapters.qwen3_tts.inflight.model.kernels.norm import add_norm
from adapters.qwen3_tts.inflight.model.kernels.rotary import rotate_and_store
from adapters.qwen3_tts.inflight.model.layers import Decoder
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights, Weights

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
EPS = 1e-6

quick = partial(settings, deadline=None, database=None, derandomize=True)


@pytest.fixture(autouse=True, scope="module")
def rounded_to_nearest() -> Iterator[None]:
    """The interpreter's own rounding to bfloat16 is not to the nearest number, neither in ties nor at carries."""

    def convert(values: NDArray[Any], source: Any, target: Any, mode: Any) -> NDArray[Any]:
        if (source, target) != (tl.float32, tl.bfloat16):
            return original(values, source, target, mode)
        return torch.tensor(values).bfloat16().view(torch.uint16).numpy()

    original = interpreter._convert_float
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "_convert_float", convert)
        yield


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def assert_rounded_alike(ours: Tensor, theirs: Tensor, share: float = 0.99) -> None:
    """Assert equality to the bit, except for a few values that were near an edge in float32."""
    assert ours.dtype == theirs.dtype
    if ours.dtype == torch.float32:
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=2e-6)
        return
    assert (ours == theirs).float().mean() >= share
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=2 * torch.finfo(ours.dtype).eps)


@TYPES
@pytest.mark.parametrize("size", [48, 1024])
def test_add_norm_equals_the_plain_layers(size: int, dtype: torch.dtype) -> None:
    x, delta = normal(5, size, dtype=dtype) * 8, normal(5, size, seed=1, dtype=dtype)
    weight = normal(size, seed=2, dtype=dtype) / 4 + 1
    total, normed = add_norm(x, delta, weight, EPS)
    assert torch.equal(total, x + delta)
    assert_rounded_alike(normed, RmsNorm(weight, EPS)(x + delta))
    same, normed = add_norm(x, None, weight, EPS)
    assert same is x
    assert_rounded_alike(normed, RmsNorm(weight, EPS)(x))


@TYPES
@pytest.mark.parametrize("size", [30, 1500])
def test_silu_mul_equals_the_plain_layers(size: int, dtype: torch.dtype) -> None:
    gate_up = normal(3, 2 * size, dtype=dtype) * 4
    gate, up = gate_up.chunk(2, 1)
    assert_rounded_alike(silu_mul(gate_up), F.silu(gate).mul_(up))


def rotated(qk: Tensor, weight: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate as `layers.Decoder` does in 16 bits."""
    normed = RmsNorm(weight, EPS)(qk)
    return normed * cos + normed.roll(qk.shape[-1] // 2, -1) * sin


@TYPES
@pytest.mark.parametrize("dim", [128, 12])
def test_rotate_and_store_equals_the_plain_layers_and_writes_nothing_else(dim: int, dtype: torch.dtype) -> None:
    cos, sin = rotation_tables(dim, 10_000.0, 40, like=torch.empty(0, device=DEVICE, dtype=dtype))
    slots, positions = (torch.tensor(each, device=DEVICE) for each in ([3, 0, 3, 2], [0, 39, 17, 5]))
    qkv, weight = normal(4, 10, dim, dtype=dtype) * 4, normal(8, dim, seed=1, dtype=dtype) / 4 + 1
    cache = normal(2, 4, 40, 4, dim, seed=2, dtype=dtype)
    expected, heads = cache.clone(), qkv.clone()
    turned = rotated(qkv[:, :8], weight, cos[positions], sin[positions])
    rotate_and_store(heads, weight, cos.squeeze(1), sin.squeeze(1), cache[1], slots, positions, EPS)
    assert_rounded_alike(heads[:, :6], turned[:, :6])
    assert_rounded_alike(cache[1, slots, positions, :2], turned[:, 6:])
    expected[1, slots, positions] = torch.cat([cache[1, slots, positions, :2], qkv[:, 8:]], 1)
    assert torch.equal(cache, expected)  # the values are copied, and nothing else is written


def attended(queries: Tensor, cache: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
    """Attend as the plain layers do, in float32, to a copy of the positions that each row may see."""
    ahead = torch.arange(cache.shape[1], device=DEVICE) > positions[:, None]
    group = queries.shape[1] * 2 // cache.shape[2]
    mask = (
        torch.zeros(ahead.shape, device=DEVICE).masked_fill_(ahead, -torch.inf)[:, None, None].expand(-1, 1, group, -1)
    )
    seen = cache.float()[slots].masked_fill(ahead[..., None, None], 0)  # masked values must be finite
    return plain_attend(queries.float(), *keys_and_values(seen), mask)


@given(
    rows=st.integers(1, 4),
    heads=st.sampled_from([(1, 2), (2, 1), (2, 3), (3, 2)]),
    dim=st.sampled_from([8, 12]),
    capacity=st.integers(1, 150),
    random=st.randoms(use_true_random=False),
)
@quick(max_examples=20)
def test_row_attends_to_its_slot_up_to_its_position_only(
    rows: int, heads: tuple[int, int], dim: int, capacity: int, random: Any
) -> None:
    slots, positions = [random.randrange(3) for _ in range(rows)], [random.randrange(capacity) for _ in range(rows)]
    if random.random() < 0.3:
        positions[0], positions[-1] = capacity - 1, 0
    key_value_heads, group = heads
    longest = {slot: max(p for s, p in zip(slots, positions, strict=True) if s == slot) for slot in slots}
    cache = normal(3, capacity, 2 * key_value_heads, dim, seed=random.randrange(1000))
    for slot in range(3):
        cache[slot, longest.get(slot, -1) + 1 :] = torch.nan
    # The queries are the first part of a larger tensor, as in the layers.
    queries = normal(rows, key_value_heads * (group + 2), dim, seed=1)[:, : key_value_heads * group]
    where = torch.tensor(slots, device=DEVICE), torch.tensor(positions, device=DEVICE)
    torch.testing.assert_close(attend(queries, cache, *where), attended(queries, cache, *where), atol=2e-6, rtol=2e-5)


@TYPES
@pytest.mark.parametrize("programs", [1, 256], ids=["in one part", "the positions split"])
def test_attention_rounds_once(programs: int, dtype: torch.dtype) -> None:
    cache = normal(2, 70, 2, 8, dtype=dtype)
    queries = normal(8, 2, 8, seed=1, dtype=dtype)
    where = torch.arange(8, device=DEVICE) % 2, 69 - torch.arange(8, device=DEVICE) * 9
    rounded = attend(queries, cache, *where, programs=programs)
    assert_rounded_alike(rounded, attended(queries, cache, *where).to(dtype))


def test_cache_offsets_may_exceed_31_bits() -> None:
    memory = torch.empty(2**31 + 64, device=DEVICE, dtype=torch.float16)  # few of its pages are ever touched
    cache = memory.as_strided((3, 2, 2, 8), (2**30, 16, 8, 1))
    cache[2] = normal(2, 2, 8, dtype=torch.float16)
    small, last, first = cache[2:].clone(), torch.tensor([2], device=DEVICE), torch.tensor([0], device=DEVICE)
    position, queries = torch.tensor([1], device=DEVICE), normal(1, 1, 8, seed=1, dtype=torch.float16)
    assert torch.equal(attend(queries, cache, last, position), attend(queries, small, first, position))
    cos, sin = (
        table.squeeze(1)
        for table in rotation_tables(8, 10_000.0, 2, like=torch.empty(0, device=DEVICE, dtype=torch.float16))
    )
    weight = torch.ones(2, 8, device=DEVICE, dtype=torch.float16)
    for target, slot in ((cache, last), (small, first)):
        rotate_and_store(normal(1, 3, 8, seed=2, dtype=torch.float16), weight, cos, sin, target, slot, position, EPS)
    assert torch.equal(cache[2], small[0])


class PlainDecoder:
    """`layers.Decoder` with attention row by row."""

    def __init__(self, weights: DecoderWeights, positions: int) -> None:
        self._decoder = Decoder(weights, positions)

    def __call__(self, x: Tensor, cache: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        def attend_rows(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            cache[layer, slots, positions] = keys_values
            rows = zip(queries.split(1), slots.tolist(), positions.tolist(), strict=True)
            seen = ((query, cache[layer, slot : slot + 1, : position + 1]) for query, slot, position in rows)
            every = [plain_attend(query.float(), *keys_and_values(each.float()), None) for query, each in seen]
            return torch.cat(every).to(queries.dtype)  # torch's own kernels round the weights of the sum too

        return self._decoder.norm(self._decoder(x, self._decoder.rotations(positions), attend_rows))


@pytest.fixture(scope="module")
def weights(model_dir: Path) -> Weights:
    return Weights.load(model_dir / "Qwen3-TTS-12Hz-1.7B-CustomVoice", DEVICE)


def halved(stack: DecoderWeights, dtype: torch.dtype) -> DecoderWeights:
    layers = [
        replace(layer, **{name: value.to(dtype) for name, value in vars(layer).items()}) for layer in stack.layers
    ]
    return replace(stack, layers=layers, norm=stack.norm.to(dtype))


STEPS = (([2, 2, 2, 0, 2, 0], [0, 1, 2, 0, 3, 1]), ([0, 2, 3, 3], [2, 4, 0, 0]), ([2], [5]))
"""Slots and positions: two prompts prefilled together; a step of both, padded by rows of a spare slot; one alone."""


def run(decoder: FusedDecoder | PlainDecoder, stack: DecoderWeights) -> tuple[list[Tensor], Tensor]:
    dtype = stack.norm.dtype
    cache = torch.zeros(len(stack.layers), 4, 6, 2 * stack.key_value_heads, stack.head_dim, device=DEVICE, dtype=dtype)
    outputs = []
    for step, (slots, positions) in enumerate(STEPS):
        x = normal(len(slots), len(stack.norm), seed=step, dtype=dtype)
        if 3 in slots:
            x[3] = x[2]  # the content of a spare slot must not depend on the order of its rows
        where = torch.tensor(slots, device=DEVICE), torch.tensor(positions, device=DEVICE)
        before = x.clone()
        outputs.append(decoder(x, cache, *where))
        assert torch.equal(x, before)
    return outputs, cache


@pytest.mark.parametrize("part", ["talker", "predictor"])
def test_fused_decoder_equals_the_plain_layers_for_prompts_and_steps(weights: Weights, part: str) -> None:
    stack: DecoderWeights = getattr(weights, part)
    heads = weights.codec_head if part == "talker" else weights.predictor_heads[0]
    ours, our_cache = run(FusedDecoder(stack, 6), stack)
    theirs, their_cache = run(PlainDecoder(stack, 6), stack)
    torch.testing.assert_close(our_cache, their_cache, atol=1e-5, rtol=1e-5)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-5, rtol=1e-5)
        assert torch.equal(F.linear(our, heads).argmax(-1), F.linear(their, heads).argmax(-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_precision_decoder_rounds_as_the_plain_layers_do(weights: Weights, dtype: torch.dtype) -> None:
    stack = halved(weights.talker, dtype)
    ours, theirs = run(FusedDecoder(stack, 6), stack)[0], run(PlainDecoder(stack, 6), stack)[0]
    same = torch.cat([(our == their).float().flatten() for our, their in zip(ours, theirs, strict=True)])
    assert same.mean() > 0.9


def launches(monkeypatch: pytest.MonkeyPatch, work: Any) -> list[tuple[object, ...]]:
    """Return what is launched: kernel, grid, and all arguments; of tensors their types and strides."""
    seen: list[tuple[object, ...]] = []

    def run(kernel: Any, *args: Any, grid: Any, **kwargs: Any) -> Any:
        described = [(x.dtype, x.stride()) if isinstance(x, Tensor) else x for x in (*args, *kwargs.values())]
        seen.append((kernel.__name__, grid, *described))
        return original(kernel, *args, grid=grid, **kwargs)

    kernels = interpreter.InterpretedFunction
    original = kernels.run
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "run", run)
        work()
    return seen


@pytest.mark.skipif(DEVICE == "cuda", reason="launches are counted in the interpreter")
def test_launches_depend_on_the_number_of_rows_alone(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = weights.predictor
    decoder, cache = (
        FusedDecoder(stack, 80),
        normal(len(stack.layers), 3, 80, 2 * stack.key_value_heads, stack.head_dim),
    )
    x = normal(2, len(stack.norm))
    seen = [
        launches(monkeypatch, partial(decoder, x, cache, torch.tensor(slots), torch.tensor(positions)))
        for slots, positions in (([0, 0], [0, 1]), ([2, 1], [79, 3]))
    ]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 6 * len(stack.layers) + 1  # with few rows, one more to merge the split attention


def test_unavailable_kernels_log_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    assert not available(torch.device("cpu"))
    assert not caplog.records
    if DEVICE == "cpu":
        with caplog.at_level(logging.WARNING):
            assert not available(torch.device("cuda"))
        assert "no fused kernels on cuda" in caplog.text
