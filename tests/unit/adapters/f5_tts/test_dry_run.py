"""F5-TTS on a pretended GPU in bfloat16: devices, precisions, and what a step waits for."""

from __future__ import annotations

from pathlib import Path

import torch

from adapters.f5_tts.checkpoint import load_networks
from adapters.f5_tts.engine import F5Engine
from adapters.f5_tts.settings import FAMILY, EngineSettings
from adapters.f5_tts.stepper import FlowStepper
from tests.unit.adapters.f5_tts.test_stepper import ORDERS, open_row
from tests.unit.pretended_cuda import CUDA, PretendedCuda


def test_step_waits_for_nothing(folder: Path) -> None:
    with PretendedCuda()() as cuda, torch.inference_mode():
        networks = load_networks(folder, CUDA, torch.bfloat16)
        stepper = FlowStepper(networks.transformer, CUDA, torch.bfloat16, batch_frames=10_000)
        rows = [open_row(stepper, networks, order) for order in ORDERS[:2]]
        (batch,) = stepper.plan(rows)
        stepper.advance(batch)
        cuda.driver.waits.clear()
        stepper.advance(batch)
        assert not cuda.driver.waits, cuda.driver.waits
        networks.vocoder.decode(rows[0].state)
    assert cuda.driver.breaches == []


def test_engine_speaks_without_races(folder: Path) -> None:
    settings = EngineSettings.read("cuda:0", {"F5_SLOTS": "2"})
    with PretendedCuda()() as cuda:
        networks = load_networks(folder, CUDA, torch.bfloat16)
        options = FAMILY.models["f5-tts"].options
        engine = F5Engine(networks, settings, options=options, device=CUDA, dtype=torch.bfloat16)
        engine.self_test()
        engine.close()
    assert cuda.driver.breaches == []
