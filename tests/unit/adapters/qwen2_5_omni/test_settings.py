"""The settings of Qwen2.5-Omni."""

from __future__ import annotations

import pytest

from adapters.qwen2_5_omni.settings import Defaults, EngineSettings
from tritone.settings import UnusableSettingError


def test_defaults_are_those_of_the_replaced_service() -> None:
    settings = EngineSettings.read("cpu", {})
    assert settings.defaults == Defaults(temperature=0.1, repetition_penalty=1.1, max_new_tokens=8192)
    assert settings.window_seconds == 60


def test_more_of_a_prompt_is_read_at_once_on_a_gpu() -> None:
    on_cpu, on_gpu = (EngineSettings.read(device, {}).prefill_tokens for device in ("cpu", "cuda:1"))
    assert on_cpu < on_gpu
    assert EngineSettings.read("cuda:0", {"OMNI_PREFILL_TOKENS": "7"}).prefill_tokens == 7


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("OMNI_SEGMENT_DURATION", "301", "at most 300"),
        ("OMNI_TEMPERATURE", "warm", "a number from 0 to 1"),
        ("OMNI_TEMPERATURE", "1.5", "a number from 0 to 1"),
        ("OMNI_REPETITION_PENALTY", "nan", "a number from 0.5 to 2"),
    ],
)
def test_unusable_value_is_named_with_what_is_allowed(setting: str, value: str, allowed: str) -> None:
    with pytest.raises(UnusableSettingError, match=f"{setting}={value} must be {allowed}"):
        EngineSettings.read("cpu", {setting: value})
