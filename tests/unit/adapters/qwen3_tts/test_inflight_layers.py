"""What is rounded when, as in the package."""

from __future__ import annotations

from pathlib import Path

import torch

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.layers import RmsNorm
from adapters.qwen3_tts.inflight.plain import PlainTalker
from adapters.qwen3_tts.inflight.talker import Piece
from adapters.qwen3_tts.inflight.weights import Weights
from adapters.qwen3_tts.package import core
from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.stock import StockModel


def test_a_norm_is_rounded_before_its_weight() -> None:
    x, weight = torch.randn(5, 3, 48, generator=torch.Generator().manual_seed(0)).mul(8), torch.rand(48) + 0.5
    package = core.models.modeling_qwen3_tts.Qwen3TTSRMSNorm(48, eps=1e-6).requires_grad_(False)
    package.weight.copy_(weight)
    tiny = x * 1e-4  # where the epsilon counts
    torch.testing.assert_close(RmsNorm(package.weight, 1e-6)(tiny), package(tiny), atol=0, rtol=1e-6)
    half = package.to(torch.bfloat16)
    assert torch.equal(RmsNorm(half.weight, 1e-6)(x.bfloat16()), half(x.bfloat16()))


def test_in_bfloat16_a_prompt_is_read_to_the_same_numbers(model_dir: Path) -> None:
    folder = model_dir / "Qwen3-TTS-12Hz-1.7B-CustomVoice"
    package = StockModel.load(Checkpoint.read(folder), Runtime("cpu", "bfloat16", "sdpa")).model.talker.model
    weights = Weights.load(folder, dtype=torch.bfloat16)
    talker = PlainTalker(weights, slots=1, positions=32)
    prompt = torch.randn(20, weights.codec_head.shape[1], generator=torch.Generator().manual_seed(0)).bfloat16()

    def read(tokens: int) -> torch.Tensor:
        talker.read([prompt[:tokens]], [Piece(0, 0, tokens)])
        return talker.hidden(torch.tensor([0]))

    with torch.inference_mode():
        ours = torch.cat([read(n) for n in range(2, 21)])
        theirs = torch.cat([package(inputs_embeds=prompt[None, :n]).last_hidden_state[0, -1:] for n in range(2, 21)])
    same = (ours == theirs).float().mean()  # a third of them, with one rounding left out
    assert same > 0.9
