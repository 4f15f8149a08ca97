"""Every fused kernel alone, compared with plain torch on the device: the one that is wrong, where, and by how much.

Each step waits for the device, so that a kernel that breaks it is named too. Both sides have the same roundings. They
may differ by the last places of float32, which now and then is a last place of the rounded type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from adapters.inflight.attention import attend as plain_attend
from adapters.inflight.attention import keys_and_values, rotation_tables
from adapters.inflight.noise import GumbelNoise, noise_key
from adapters.inflight.norm import RmsNorm
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.state import StateArena
from adapters.qwen3_tts.inflight.codec.weights import CodecWeights
from adapters.qwen3_tts.inflight.model.kernels import available
from adapters.qwen3_tts.inflight.model.row_sampler import RowSampler
from adapters.qwen3_tts.inflight.model.sampling_params import LogitsParams
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights, Weights
from benchmarks.gpu.rig import POSITIONS, Rig
from benchmarks.gpu.steps import Step
from benchmarks.gpu.timing import synchronize

ROWS = (1, 3, 64)
"""Batches: with attention in many parts, with padding, and with attention in one part."""
_EXACT = 1e-6
"""The last place of float32 after a sum in another order."""
_PLACES = 2
"""Last places by which a rounded value may differ."""
_SAME_DRAWS = 0.99
"""The share of draws that are the same: noise and scores have other last places in float32."""

Figures = dict[str, Any]


def steps(rig: Rig) -> Iterator[Step]:
    """Check each kernel at each batch size; without kernels, say so."""
    if rig.device.type == "cpu":
        yield Step("skipped", 1, lambda: {"skipped": "the kernels need a GPU"})
        return
    yield Step("available", 30, lambda: {"right": available(rig.device)})
    for name, check in checks(rig.weights, POSITIONS).items():
        for rows in ROWS:
            yield Step(f"{name}, {rows}", 10, partial(_waited, rig.device, partial(check, rows)))
    for name, stack in _stacks(rig.weights).items():
        yield Step(f"{name} by layers", 10, partial(_waited, rig.device, partial(by_layers, stack)))
    codec = CodecWeights.load(rig.checkpoint.folder / "speech_tokenizer", rig.device)
    for dtype in (torch.float32, torch.float16):
        yield Step(f"codec, {dtype}", 15, partial(_waited, rig.device, partial(codec_kernels, codec, dtype)))


def _waited(device: torch.device, work: Callable[[], Figures]) -> Figures:
    with torch.inference_mode():
        figures = work()
    synchronize(device)
    return figures


def _stacks(weights: Weights) -> dict[str, DecoderWeights]:
    return {"talker": weights.talker, "predictor": weights.predictor}


def checks(weights: Weights, positions: int, frames: int = 32) -> dict[str, Callable[[int], Figures]]:
    """Return the check of each kernel, for a number of rows.

    `positions`: those of a slot of the talker; `frames`: the draws for each row.
    """
    reach = {"talker": positions, "predictor": len(weights.code_embeddings)}
    found: dict[str, Callable[[int], Figures]] = {}
    for name, stack in _stacks(weights).items():
        found |= {
            f"{name} add_norm": partial(add_norm, stack),
            f"{name} silu_mul": partial(silu_mul, stack),
            f"{name} rotate_and_store": partial(rotate_and_store, stack, reach[name]),
            f"{name} attend": partial(attend, stack, reach[name]),
        }
    return found | {"draw": partial(draw, weights, frames)}


def add_norm(stack: DecoderWeights, rows: int) -> Figures:
    """Check the residual sum and the norm."""
    from adapters.qwen3_tts.inflight.model.kernels import norm  # noqa: PLC0415 - needs the Triton language

    x, delta = (8 * _normal(stack.norm, rows, len(stack.norm), seed=seed) for seed in (0, 1))
    total, normed = norm.add_norm(x, delta, stack.norm, stack.eps)
    alone = norm.add_norm(x, None, stack.norm, stack.eps)[1]
    plain = RmsNorm(stack.norm, stack.eps)
    return worst({"sum": (total, x + delta), "norm": (normed, plain(x + delta)), "without sum": (alone, plain(x))})


def silu_mul(stack: DecoderWeights, rows: int) -> Figures:
    """Check the activation."""
    from adapters.qwen3_tts.inflight.model.kernels import activation  # noqa: PLC0415

    gate_up = 4 * _normal(stack.norm, rows, len(stack.layers[0].gate_up))
    gate, up = gate_up.chunk(2, 1)
    return worst({"product": (activation.silu_mul(gate_up), F.silu(gate) * up)})


def rotate_and_store(stack: DecoderWeights, positions: int, rows: int) -> Figures:
    """Check norm, rotation, and what is written to the cache."""
    from adapters.qwen3_tts.inflight.model.kernels import rotary  # noqa: PLC0415

    heads, shared, layer = stack.heads, stack.key_value_heads, stack.layers[0]
    cos, sin = rotation_tables(stack.head_dim, stack.rope_theta, positions, like=stack.norm)
    qkv = 4 * _normal(stack.norm, rows, heads + 2 * shared, stack.head_dim)
    slots, where = _places(stack.norm.device, rows, positions)
    normed = RmsNorm(layer.qk_norm, stack.eps)(qkv[:, : heads + shared])
    turned = normed * cos[where] + normed.roll(stack.head_dim // 2, -1) * sin[where]
    cache = _normal(stack.norm, rows, positions, 2 * shared, stack.head_dim, seed=1)
    expected, ours = cache.clone(), qkv.clone()
    rotary.rotate_and_store(ours, layer.qk_norm, cos.squeeze(1), sin.squeeze(1), cache, slots, where, stack.eps)
    written = cache[slots, where]
    expected[slots, where] = written
    return worst(
        {
            "queries": (ours[:, :heads], turned[:, :heads]),
            "keys": (written[:, :shared], turned[:, heads:]),
            "values": (written[:, shared:], qkv[:, heads + shared :]),
            "everything else": (cache, expected),
        }
    )


def attend(stack: DecoderWeights, positions: int, rows: int) -> Figures:
    """Check attention; positions behind a row's own are NaN, and must not be read."""
    from adapters.qwen3_tts.inflight.model.kernels import attention  # noqa: PLC0415

    cache = _normal(stack.norm, rows, positions, 2 * stack.key_value_heads, stack.head_dim)
    queries = _normal(stack.norm, rows, stack.heads + 2 * stack.key_value_heads, stack.head_dim, seed=1)
    queries = queries[:, : stack.heads]
    slots, where = _places(stack.norm.device, rows, positions)
    ahead = (torch.arange(positions, device=where.device) > where[:, None])[..., None, None]
    seen = cache[slots].float().masked_fill(ahead, 0.0)
    cache[slots] = cache[slots].masked_fill(ahead, torch.nan)
    group = stack.heads // stack.key_value_heads
    mask = torch.zeros(rows, 1, 1, positions, device=where.device)
    mask = mask.masked_fill_(ahead[..., 0].transpose(1, 2)[:, None], -torch.inf).expand(-1, -1, group, -1)
    with sdpa_kernel(SDPBackend.MATH):
        theirs = plain_attend(queries.float(), *keys_and_values(seen), mask).to(queries.dtype)
    return worst({"attended": (attention.attend(queries, cache, slots, where), theirs)})


def draw(weights: Weights, frames: int, rows: int) -> Figures:
    """Check the sampler against the one in plain torch with the same noise: the usual rules, top-p, and greedy."""
    from adapters.qwen3_tts.inflight.model.kernels.sampling import FusedRowSampler  # noqa: PLC0415

    device, vocabulary = weights.device, len(weights.predictor_heads[0])
    rules = [LogitsParams(True, 0.9, 50, 1.0), LogitsParams(True, 0.7, 0, 0.8), LogitsParams(False, 1.0, 0, 1.0)]
    sampler = RowSampler(rows, vocabulary, device)
    sampler.load([rules[row % len(rules)] for row in range(rows)])
    keys = torch.tensor([noise_key(row) for row in range(rows)], device=device)
    noise, fused = GumbelNoise(vocabulary, device), FusedRowSampler(sampler, keys, vocabulary)
    same, differing = 0, []
    for number in range(frames):
        scores = 3 * _normal(weights.predictor_heads[0], rows, vocabulary, seed=number)
        frame = torch.full_like(keys, number)
        ours = fused.draw(scores, frame, 0).tolist()
        theirs = sampler.draw(scores.float(), noise.gumbel(keys, frame)).tolist()
        same += sum(mine == other for mine, other in zip(ours, theirs, strict=True))
        differing += [
            {"frame": number, "row": row, "ours": mine, "plain": other}
            for row, (mine, other) in enumerate(zip(ours, theirs, strict=True))
            if mine != other
        ]
    share = same / (rows * frames)
    return {"right": share >= _SAME_DRAWS, "same": round(share, 4), "differing": differing[:4]}


def by_layers(stack: DecoderWeights) -> Figures:
    """Return the relative distance between both decoders after 1, 2, 4... layers: the layer from which it is large."""
    from adapters.qwen3_tts.inflight.model.kernels.decoder import FusedDecoder  # noqa: PLC0415
    from adapters.qwen3_tts.inflight.model.layers import Decoder  # noqa: PLC0415

    x = _normal(stack.norm, 1, len(stack.norm))
    first = torch.zeros(1, dtype=torch.int64, device=x.device)
    group = stack.heads // stack.key_value_heads
    errors: dict[str, float] = {}
    for count in sorted({*(1 << power for power in range(6)), len(stack.layers)}):
        if count > len(stack.layers):
            continue
        part = replace(stack, layers=stack.layers[:count])
        cache = x.new_zeros(count, 1, 16, 2 * stack.key_value_heads, stack.head_dim)
        ours = FusedDecoder(part, 16)(x, cache, first, first)
        plain = Decoder(part, 16)

        def attend_to_itself(layer: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            values = keys_values[:, stack.key_value_heads :]  # a single position: the sum is its value
            return values[:, None].expand(-1, group, -1, -1).flatten(1).to(queries.dtype)

        theirs = plain.norm(plain(x, plain.rotations(first), attend_to_itself))
        errors[str(count)] = float(f"{_relative(ours, theirs):.2e}")
    # Independent roundings of the layers add up as their square root.
    limit = 4 * max(torch.finfo(x.dtype).eps, _EXACT) * math.sqrt(len(stack.layers))
    return {"right": max(errors.values()) <= limit, "limit": limit, "dtype": str(x.dtype), "relative": errors}


def codec_kernels(weights: CodecWeights, dtype: torch.dtype) -> Figures:
    """Compare the decoder with its kernels and the one in plain torch with float32, in three chunks of two frames."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(
        weights.setting("codebook_size"), (3, 1, 2, weights.setting("num_quantizers")), generator=generator
    )
    made = {}
    for name, precision, fused in (("exact", torch.float32, False), ("plain", dtype, False), ("fused", dtype, True)):
        decoder = CodecDecoder(weights, precision, fused=fused)
        arena = StateArena(decoder.layout, 1, device=weights.device, dtype=precision)
        slot = torch.zeros(1, dtype=torch.int64, device=weights.device)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            made[name] = torch.cat(
                [decoder.decode(arena, slot, chunk.to(weights.device)) for chunk in codes], 1
            ).float()
    errors = {name: float(f"{_relative(made[name], made['exact']):.2e}") for name in ("plain", "fused")}
    right = errors["fused"] <= max(1.5 * errors["plain"], 1e-4)
    return {"right": right, "dtype": str(dtype), "relative": errors}


def worst(pairs: dict[str, tuple[Tensor, Tensor]]) -> Figures:
    """Return the largest difference of each pair (ours, plain), where it is, and its share of the limit."""
    figures: dict[str, Any] = {"right": True}
    for name, (ours, plain) in pairs.items():
        eps = max(torch.finfo(plain.dtype).eps, _EXACT)
        difference = (ours.double() - plain.double()).abs().nan_to_num(torch.inf)
        size = plain.double().abs()
        # A rotation may take a small number from two large ones, each with a last place of its own.
        share = difference / (_PLACES * eps * size + eps * size.amax(-1, keepdim=True)).clamp(min=eps * eps)
        at = int(share.argmax())
        place = [int(index) for index in torch.unravel_index(torch.tensor(at), share.shape)]
        largest = float(share.flatten()[at])
        figures["right"] = figures["right"] and largest <= 1
        figures[name] = {
            "of_limit": round(largest, 3),
            "at": place,
            "ours": float(ours.flatten()[at]),
            "plain": float(plain.flatten()[at]),
            "unequal": round(float((difference > 0).double().mean()), 5),
            "dtype": str(ours.dtype),
        }
    return figures


def _relative(ours: Tensor, theirs: Tensor) -> float:
    distance = (ours.double() - theirs.double()).norm() / theirs.double().norm()
    return float(distance.nan_to_num(torch.inf))


def _normal(like: Tensor, *shape: int, seed: int = 0) -> Tensor:
    """Return the same random numbers on any device, in the precision and on the device of `like`."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(like)


def _places(device: torch.device, rows: int, positions: int) -> tuple[Tensor, Tensor]:
    """Return slots, each row its own, and positions: the last one and others."""
    every = torch.arange(rows, device=device)
    return rows - 1 - every, (positions - 1 - every * 37) % positions
