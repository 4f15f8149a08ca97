"""The GPU benchmark's checks of the kernels, in the interpreter: right kernels pass, and a wrong one is located."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.codec.weights import CodecWeights
from adapters.qwen3_tts.inflight.model.kernels import activation
from adapters.qwen3_tts.inflight.model.weights import Weights
from benchmarks.gpu import kernels


@pytest.fixture(scope="module")
def weights(model_dir: Path) -> Weights:
    return Weights.load(model_dir / "Qwen3-TTS-12Hz-1.7B-CustomVoice")


def test_checks_of_right_kernels_pass(weights: Weights) -> None:
    for name, check in kernels.checks(weights, 40, frames=2).items():
        figures = check(3)
        assert figures["right"], (name, figures)
    for stack in (weights.talker, weights.predictor):
        figures = kernels.by_layers(stack)
        assert figures["right"], figures


def test_check_of_the_codec_passes(model_dir: Path) -> None:
    folder = model_dir / "Qwen3-TTS-12Hz-1.7B-CustomVoice" / "speech_tokenizer"
    figures = kernels.codec_kernels(CodecWeights.load(folder, torch.device("cpu")), torch.float32)
    assert figures["right"], figures


def test_check_names_the_place_of_a_wrong_number(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(gate_up: Tensor) -> Tensor:
        product = activation_of(gate_up)
        product[2, 5] = torch.nan
        return product

    activation_of = activation.silu_mul
    monkeypatch.setattr(activation, "silu_mul", wrong)
    figures = kernels.silu_mul(weights.talker, 3)
    assert not figures["right"]
    assert figures["product"]["at"] == [2, 5]
