"""Values and defaults of the engine's settings."""

from __future__ import annotations

import pytest

from adapters.qwen3_tts.inflight.scheduling.chunk_schedule import CHUNK_SCHEDULES
from adapters.qwen3_tts.inflight.settings import EngineSettings
from tritone.settings import UnusableSettingError


def test_default_settings_suit_the_device() -> None:
    cpu, gpu = EngineSettings.read("cpu", {}), EngineSettings.read("cuda:0", {"QWEN_QUEUE": ""})
    assert (cpu.limits.slots, gpu.limits.slots) == (4, 16)
    assert cpu.limits.queue == gpu.limits.queue == 16
    assert cpu.chunk_schedule == CHUNK_SCHEDULES["latency"]
    assert cpu.runaway_frames == 100
    assert 0 < cpu.prefill_tokens < gpu.prefill_tokens
    assert cpu.graphs


def test_settings_are_read_from_the_environment() -> None:
    environ = {"QWEN_SLOTS": "9", "QWEN_PROFILE": "throughput", "QWEN_RUNAWAY_SECONDS": "0"}
    settings = EngineSettings.read("cpu", {**environ, "QWEN_PREFILL_TOKENS": "7", "QWEN_GRAPHS": "OFF"})
    assert settings.limits.slots == 9
    assert settings.chunk_schedule == CHUNK_SCHEDULES["throughput"]
    assert settings.runaway_frames == 0
    assert (settings.prefill_tokens, settings.graphs) == (7, False)


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("QWEN_KV_POSITIONS", "0", "a whole number, 64 or more"),
        ("QWEN_QUEUE", "-1", "a whole number, 0 or more"),
        ("QWEN_QUEUE_SECONDS", "soon", "a whole number, 0 or more"),
        ("QWEN_PROFILE", "fast", "choose from latency, balanced, throughput"),
    ],
)
def test_invalid_setting_is_rejected_with_the_valid_values(name: str, value: str, right: str) -> None:
    with pytest.raises(UnusableSettingError, match=f"{name}={value} .*{right}"):
        EngineSettings.read("cpu", {name: value})


def test_remaining_frames_fit_a_size_of_their_chunk_schedule() -> None:
    for schedule in CHUNK_SCHEDULES.values():
        for frames in range(1, schedule.size(99) + 1):
            assert schedule.smallest_for(frames) >= frames
