"""The settings of F5-TTS."""

from __future__ import annotations

import pytest

from adapters.f5_tts.settings import EngineSettings
from tritone.settings import UnusableSettingError


def test_defaults_depend_on_the_device() -> None:
    cpu, gpu = (EngineSettings.read(device, {}) for device in ("cpu", "cuda:1"))
    assert (cpu.limits.slots, gpu.limits.slots) == (4, 16)
    assert (gpu.steps, gpu.guidance, gpu.normalize) == (32, 2.0, True)


@pytest.mark.parametrize(
    ("name", "value"), [("F5_NFE_STEP", "129"), ("F5_CFG_STRENGTH", "11"), ("F5_CFG_STRENGTH", "much")]
)
def test_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(UnusableSettingError, match=f"{name}={value} must be"):
        EngineSettings.read("cpu", {name: value})
