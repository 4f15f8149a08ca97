"""Zonos' steps on a pretended GPU in bfloat16: devices, precisions, and what a step waits for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adapters.inflight.scheduler import Limits
from adapters.zonos import checkpoint
from adapters.zonos.loading import load_engine, self_test
from adapters.zonos.sampler import SamplingParams
from adapters.zonos.settings import FAMILY, EngineSettings
from adapters.zonos.stepper import ColumnStepper, Prompt
from adapters.zonos.weights import Weights
from tests.unit.adapters.zonos.test_stepper import USUAL
from tests.unit.pretended_cuda import CUDA, PretendedCuda
from tests.unit.pretended_cuda.files import load_file
from tools.tiny_models.zonos import MODEL


def test_step_waits_for_nothing_but_its_codes(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "load_file", load_file)
    with PretendedCuda()() as cuda, torch.inference_mode():
        weights = Weights.load(models / MODEL, CUDA, torch.bfloat16)
        stepper = ColumnStepper(weights, slots=2, positions=200)
        speaker = USUAL.speaker.to(CUDA, torch.bfloat16)
        conditions = type(USUAL)(USUAL.tokens, USUAL.language, speaker)
        sampling = SamplingParams(1, min_p=0.1, repetition_penalty=2.0)
        for slot in range(2):
            stepper.open(slot, Prompt(weights.prefix(conditions), 2.0, sampling))
            stepper.prefill(slot)
        cuda.driver.waits.clear()
        stepper.step([0, 1])
    assert {operation for _, operation in cuda.driver.waits} == {"tolist"}, cuda.driver.waits
    assert cuda.driver.breaches == []


def test_engine_speaks_without_races(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "load_file", load_file)
    settings = EngineSettings(Limits(slots=2, positions=400, queue=2, queue_seconds=600))
    options = FAMILY.models["zonos-v0.1"].options
    with PretendedCuda()() as cuda:
        engine = load_engine(models / MODEL, settings, options=options, device="cuda:0", dtype=torch.bfloat16)
        self_test(engine)
        engine.close()
    assert cuda.driver.breaches == []
