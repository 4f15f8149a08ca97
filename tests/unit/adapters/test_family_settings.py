"""The settings of each family, as its module `settings` declares them."""

from __future__ import annotations

from types import ModuleType

import pytest

from adapters.kokoro import settings as kokoro
from adapters.qwen3_tts import settings as qwen
from adapters.whisper import settings as whisper
from tritone.settings import Setting, UnusableSettingError


@pytest.mark.parametrize("module", [kokoro, qwen, whisper], ids=lambda module: module.__name__)
def test_every_setting_of_the_family_file_has_a_constant_of_its_name(module: ModuleType) -> None:
    constants = {name: value for name, value in vars(module).items() if isinstance(value, Setting)}
    assert constants == module.FAMILY.settings


@pytest.mark.parametrize("module", [kokoro, qwen, whisper], ids=lambda module: module.__name__)
def test_setting_without_a_value_has_its_default(module: ModuleType) -> None:
    for setting in module.FAMILY.settings.values():
        assert setting.read({}) == setting.read({setting.name: ""}) == setting.default
        assert setting.description.endswith(".")


def test_choices_are_read_in_any_case_and_free_text_is_kept() -> None:
    assert qwen.DTYPE.read({"DTYPE": "BFloat16"}) == "bfloat16"
    assert qwen.DEFAULT_SPEAKER.read({"DEFAULT_SPEAKER": "Minsu"}) == "Minsu"


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_number_out_of_range_is_rejected_with_the_least_value(value: str) -> None:
    assert qwen.QWEN_MAX_BATCH.read({"QWEN_MAX_BATCH": "16"}) == 16
    with pytest.raises(UnusableSettingError, match=f"QWEN_MAX_BATCH={value} must be a whole number, 1 or more"):
        qwen.QWEN_MAX_BATCH.read({"QWEN_MAX_BATCH": value})


def test_unknown_choice_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(UnusableSettingError, match="DTYPE=int4 is unknown; choose from bfloat16, float16, float32"):
        qwen.DTYPE.read({"DTYPE": "int4"})
