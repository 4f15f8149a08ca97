"""The settings of the models, as the environment says them."""

from __future__ import annotations

import pytest

from adapters import settings
from adapters.settings import UnusableSettingError


@pytest.mark.parametrize("setting", settings.ALL, ids=lambda setting: setting.name)
def test_what_is_not_set_or_empty_is_the_default(setting: settings.Setting[str] | settings.Setting[int]) -> None:
    assert setting.read({}) == setting.read({setting.name: ""}) == setting.default


def test_words_are_read_in_any_case_and_names_as_they_are() -> None:
    assert settings.DTYPE.read({"DTYPE": "BFloat16"}) == "bfloat16"
    assert settings.DEFAULT_SPEAKER.read({"DEFAULT_SPEAKER": "Minsu"}) == "Minsu"


def test_numbers_are_whole_and_in_range() -> None:
    assert settings.QWEN_MAX_BATCH.read({"QWEN_MAX_BATCH": "16"}) == 16
    for said in ("0", "-1", "many", "1.5"):
        with pytest.raises(UnusableSettingError, match=f"QWEN_MAX_BATCH={said} must be a whole number from 1 on"):
            settings.QWEN_MAX_BATCH.read({"QWEN_MAX_BATCH": said})


def test_an_unknown_word_is_told_with_those_that_are_known() -> None:
    with pytest.raises(UnusableSettingError, match="DTYPE=int4 is unknown; choose from bfloat16, float16, float32"):
        settings.DTYPE.read({"DTYPE": "int4"})


def test_every_setting_stands_once_in_the_documentation() -> None:
    declared = [each.name for each in vars(settings).values() if isinstance(each, settings.Setting)]
    assert sorted(declared) == sorted(each.name for each in settings.ALL)
    assert all(each.description.endswith(".") for each in settings.ALL)
