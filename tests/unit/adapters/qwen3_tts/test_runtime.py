"""Precision and attention by the hardware and the settings."""

from __future__ import annotations

import pytest

from adapters.inflight.precision import UnusableRuntimeError
from adapters.qwen3_tts.runtime import Hardware, Runtime
from tritone.settings import UnusableSettingError

CPU = Hardware("cpu", None, flash_attention=False)
PASCAL = Hardware("cuda:0", (6, 1), flash_attention=True)
TURING = Hardware("cuda:0", (7, 5), flash_attention=True)
AMPERE = Hardware("cuda:1", (8, 0), flash_attention=True)
BARE_AMPERE = Hardware("cuda:1", (8, 0), flash_attention=False)

FLASH = {"ATTN_IMPLEMENTATION": "flash_attention_2"}


@pytest.mark.parametrize(
    ("hardware", "settings", "dtype", "attention"),
    [
        (CPU, {}, "float32", "sdpa"),
        (CPU, {"DTYPE": "bfloat16"}, "bfloat16", "sdpa"),
        (TURING, {}, "float16", "sdpa"),
        (AMPERE, {}, "bfloat16", "flash_attention_2"),
        (BARE_AMPERE, {}, "bfloat16", "sdpa"),
        (AMPERE, {"DTYPE": "float32"}, "float32", "sdpa"),
        (AMPERE, {"ATTN_IMPLEMENTATION": "eager"}, "bfloat16", "eager"),
        (AMPERE, {"DTYPE": "", "ATTN_IMPLEMENTATION": ""}, "bfloat16", "flash_attention_2"),
    ],
)
def test_default_precision_and_attention_suit_the_hardware(
    hardware: Hardware, settings: dict[str, str], dtype: str, attention: str
) -> None:
    runtime = Runtime.choose(hardware, settings)
    assert (runtime.device, runtime.dtype, runtime.attention) == (hardware.device, dtype, attention)
    assert not runtime.note


@pytest.mark.parametrize(
    ("hardware", "settings", "reason"),
    [
        (CPU, FLASH, "Ampere"),
        (TURING, FLASH, "Ampere"),
        (BARE_AMPERE, FLASH, "not installed"),
        (AMPERE, FLASH | {"DTYPE": "float32"}, "16 bits"),
    ],
)
def test_flash_attention_falls_back_to_sdpa_with_the_reason(
    hardware: Hardware, settings: dict[str, str], reason: str
) -> None:
    runtime = Runtime.choose(hardware, settings)
    assert runtime.attention == "sdpa"
    assert "sdpa for flash_attention_2" in str(runtime)
    assert reason in str(runtime)


@pytest.mark.parametrize(
    ("hardware", "settings", "right"),
    [
        (PASCAL, {}, "DEVICE=cpu"),
        (TURING, {"DTYPE": "bfloat16"}, "choose float16"),
        (CPU, {"DTYPE": "float16"}, "choose float32 or bfloat16"),
        (CPU, {"DTYPE": "int8"}, "choose from bfloat16, float16, float32"),
        (CPU, {"ATTN_IMPLEMENTATION": "flash"}, "choose from flash_attention_2, sdpa, eager"),
    ],
)
def test_unsupported_setting_is_rejected_with_the_alternative(
    hardware: Hardware, settings: dict[str, str], right: str
) -> None:
    with pytest.raises((UnusableRuntimeError, UnusableSettingError), match=right):
        Runtime.choose(hardware, settings)
