"""Qwen2.5-Omni on a pretended GPU in bfloat16: devices, precisions, and what a step waits for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adapters.qwen2_5_omni import checkpoint
from adapters.qwen2_5_omni.awq import AwqTensors, Int4Matrix
from adapters.qwen2_5_omni.loading import load_engine, self_test
from adapters.qwen2_5_omni.prompt import PromptBuilder
from adapters.qwen2_5_omni.sampler import SamplingParams
from adapters.qwen2_5_omni.settings import FAMILY
from adapters.qwen2_5_omni.stepper import TokenStepper
from adapters.qwen2_5_omni.weights import Weights
from adapters.triton.transcriber import WindowRequest
from tests.unit.adapters.qwen2_5_omni.judge import sound
from tests.unit.adapters.qwen2_5_omni.test_engine import SETTINGS
from tests.unit.pretended_cuda import CUDA, PretendedCuda
from tests.unit.pretended_cuda.files import safe_open
from tritone.contract import TranscriptionOptions


def test_step_waits_for_nothing_but_its_tokens(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "safe_open", safe_open)
    with PretendedCuda()() as cuda, torch.inference_mode():
        weights = Weights.load(plain, "cuda:0", torch.bfloat16)
        stepper = TokenStepper(weights, slots=2, positions=400)
        prompt = PromptBuilder(plain, weights).build(WindowRequest(sound(1, 220), TranscriptionOptions()))
        for slot in range(2):
            stepper.open(slot, prompt, SamplingParams(0.7, 1.3, slot, logprobs=True))
            stepper.prefill({slot: stepper.unprefilled(slot)})
        cuda.driver.waits.clear()
        stepper.step([0, 1])
    assert {operation for _, operation in cuda.driver.waits} == {"tolist"}, cuda.driver.waits
    assert cuda.driver.breaches == []


def test_weights_of_4_bits_are_unpacked_on_a_gpu_for_float16() -> None:
    with PretendedCuda()():
        numbers = torch.zeros(16, 2, dtype=torch.int32, device=CUDA)
        matrix = AwqTensors(numbers, numbers[:1], torch.ones(1, 16, device=CUDA), 16)
        with pytest.raises(RuntimeError, match="bfloat16 alone"):
            Int4Matrix(matrix, torch.float16)


def test_engine_transcribes_without_races(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "safe_open", safe_open)
    options = FAMILY.models["qwen2.5-omni-7b"].options
    with PretendedCuda()() as cuda:
        engine = load_engine(plain, SETTINGS, options=options, device="cuda:0", dtype=torch.bfloat16)
        self_test(engine)
        engine.close()
    assert cuda.driver.breaches == []
