"""Norms and layers round as the package's do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from adapters.inflight.attention import attend, causal_mask, keys_and_values
from adapters.inflight.norm import RmsNorm
from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.model.layers import Decoder
from adapters.qwen3_tts.inflight.model.weights import DecoderWeights, Weights
from adapters.qwen3_tts.package import core
from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.stock.package_model import PackageModel


def test_norm_is_rounded_before_its_weight() -> None:
    x, weight = torch.randn(5, 3, 48, generator=torch.Generator().manual_seed(0)).mul(8), torch.rand(48) + 0.5
    package = core.models.modeling_qwen3_tts.Qwen3TTSRMSNorm(48, eps=1e-6).requires_grad_(False)
    package.weight.copy_(weight)
    tiny = x * 1e-4  # small enough for the epsilon to matter
    torch.testing.assert_close(RmsNorm(package.weight, 1e-6)(tiny), package(tiny), atol=0, rtol=1e-6)
    half = package.to(torch.bfloat16)
    assert torch.equal(RmsNorm(half.weight, 1e-6)(x.bfloat16()), half(x.bfloat16()))


def read(stack: DecoderWeights, x: Tensor) -> Tensor:
    """Return the normed hidden state of the last of the tokens `x` (tokens, hidden)."""
    mask = causal_mask(len(x), stack.heads // stack.key_value_heads, x.device, x.dtype)
    decoder = Decoder(stack, len(x))

    def attend_before(_: int, queries: Tensor, keys_values: Tensor) -> Tensor:
        return attend(queries, *keys_and_values(keys_values[None]), mask)

    return decoder.norm(decoder(x, decoder.rotations(torch.arange(len(x))), attend_before)[-1:])


@pytest.mark.parametrize(("part", "dtype"), [("talker", "bfloat16"), ("talker", "float16"), ("predictor", "bfloat16")])
def test_16_bit_prefill_gives_the_packages_hidden_states(model_dir: Path, part: str, dtype: str) -> None:
    """Not for the predictor in float16, which is float32 here."""
    folder = model_dir / "Qwen3-TTS-12Hz-1.7B-CustomVoice"
    talker = PackageModel.load(Checkpoint.read(folder), Runtime("cpu", dtype, "sdpa")).model.talker
    package = talker.model if part == "talker" else talker.code_predictor.model
    stack: DecoderWeights = getattr(Weights.load(folder, dtype=getattr(torch, dtype)), part)
    prompt = torch.randn(20, len(stack.norm), generator=torch.Generator().manual_seed(0)).to(stack.norm.dtype)
    with torch.inference_mode():
        ours = torch.cat([read(stack, prompt[:n]) for n in range(2, 21)])
        theirs = torch.cat([package(inputs_embeds=prompt[None, :n]).last_hidden_state[0, -1:] for n in range(2, 21)])
    same = (
        (ours == theirs).float().mean()
    )  # all, except for the order of sums in a processor's matrices; with one rounding less, a third
    assert same > 0.9
